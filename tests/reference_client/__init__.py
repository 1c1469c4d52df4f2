"""Tests of the reference client against a scripted relay."""
