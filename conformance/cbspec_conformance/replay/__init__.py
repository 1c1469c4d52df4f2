"""`cbspec replay`: plays a failure again and exports it as a script."""
