"""The page of a run as a format."""

from __future__ import annotations

from cbspec_conformance.reporting.html.page import page as render

__all__ = ["render"]
