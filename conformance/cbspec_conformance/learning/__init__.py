"""`cbspec learn`: the state machine of a relay, learned, compared with the specification and drawn."""
