"""`cbspec learn-client`: the state machine of a client, whose inputs are the relay's answers."""
