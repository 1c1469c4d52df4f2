"""One connection to the relay: wire, requests, fences and time-outs."""
