"""Relays for the tests of a client: a relay in the same process, and the pytest plugin around it.

`cbspec_simulator` exports the classes; importing them here would make the plugin slow to load.
"""
