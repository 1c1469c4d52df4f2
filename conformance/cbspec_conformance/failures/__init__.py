"""A failure that its reader can use: cut out, written to a file, run again, exported as a script."""
