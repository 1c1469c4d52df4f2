"""`cbspec judge`: the verdicts from a saved transcript are those of the run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cbspec.cli import main
from cbspec.profile.profile import Profile
from tests.conformance.commands import suite
