"""Recipes of tokens: a failure file describes how to make a token, and never contains one.

Values that are new in each run (the suite's identifiers and tokens) are placeholders in a file: `<<run>>`,
`<<token-1>>`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

import msgspec

from cbspec.redact import has_token
from cbspec_conformance.record.naming import RUN

SPOILED = "spoiled"  # the name of the forgery that is a valid token with its last characters replaced

PLACEHOLDER = re.compile(r"<<(run|token-\d+)>>")
_SHORTEST = 16  # characters of a secret token: a shorter one may occur in a text by chance


class NotPortable(Exception):
    """A text cannot be written to a file: it contains a token without a recipe, or the text of a placeholder."""


class Recipe(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How to make a token: a valid one of `tenant` and `subject` (None: the default), or a `forgery` of token `of`."""

    tenant: str = ""
    subject: str | None = None
    forgery: str = ""
    of: str = ""

    def __post_init__(self) -> None:
        if bool(self.tenant) == bool(self.forgery) or bool(self.forgery) != bool(self.of):
            raise ValueError("needs either tenant, or forgery and of")


@dataclass(slots=True)
class Recipes:
    """The tokens of one case, with their recipes and the names of their placeholders."""

    _names: dict[str, str] = field(default_factory=dict, repr=False)
    _recipes: dict[str, Recipe] = field(default_factory=dict)

    def valid(self, token: str, tenant: str, subject: str | None) -> None:
        """Register a valid token."""
        self._add(token, Recipe(tenant=tenant, subject=subject))

    def forged(self, token: object, forgery: str, of: str) -> None:
        """Register a forgery of the valid token `of`, unless it is too short to be secret."""
        if isinstance(token, str) and len(token) >= _SHORTEST and of in self._names:
            self._add(token, Recipe(forgery=forgery, of=self._names[of]))

    def hide(self, text: str) -> str:
        """Return `text` with placeholders for every token and for the run's name. Raises NotPortable."""
        if PLACEHOLDER.search(text):
            raise NotPortable("it contains the text of a placeholder")
        for token in sorted(self._names, key=len, reverse=True):
            for spelled in dict.fromkeys((token, *_escaped(token))):
                text = text.replace(spelled, f"<<{self._names[token]}>>")
        text = text.replace(f"-{RUN}-", "-<<run>>-")
        if has_token(PLACEHOLDER.sub(" ", text)):
            raise NotPortable("it contains a token without a recipe")
        return text

    def used_in(self, text: str) -> dict[str, Recipe]:
        """Return the recipes of the placeholders in `text`, those of original tokens before those of forgeries."""
        wanted: dict[str, Recipe] = {}
        for name in dict.fromkeys(match[1] for match in PLACEHOLDER.finditer(text)):
            recipe = self._recipes.get(name)
            if recipe is not None:
                wanted.update({recipe.of: self._recipes[recipe.of]} if recipe.of else {})
                wanted[name] = recipe
        return wanted

    def _add(self, token: str, recipe: Recipe) -> None:
        if token not in self._names:
            name = self._names[token] = f"token-{len(self._names) + 1}"
            self._recipes[name] = recipe


def _escaped(token: str) -> tuple[str, str]:
    return json.dumps(token)[1:-1], json.dumps(token, ensure_ascii=False)[1:-1]
