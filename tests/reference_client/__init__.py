"""Tests of the reference client, against a relay of their own that does what a script says."""
