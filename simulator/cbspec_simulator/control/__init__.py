"""The relay's controls: what can be done to it while it runs, over HTTP, from the shell, from a test."""
