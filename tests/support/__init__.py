"""Clients, relays and processes that the tests of every area share."""
