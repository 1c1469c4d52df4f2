"""`cbspec replay`: replays a failure and exports it as a script."""
