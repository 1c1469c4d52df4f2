"""Clients that judge the judge: a base on the reference client's session, and changes of it that can be combined."""
