"""Tokens as recipes: a failure file says how a token is made, never what it is.

What is new in each run, the suite's own identifiers and tokens, stands in a file as a placeholder: `<<run>>`,
`<<token-1>>`.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

RUN = uuid.uuid4().hex[:8]
"""What this run's identifiers hold; never that of another run."""

SPOILED = "spoiled"
"""The name of the forgery that is only a valid token with other letters at its end."""

PLACEHOLDER = re.compile(r"<<(run|token-\d+)>>")
_SHORTEST = 16  # what is shorter is no token, and may stand in a text by chance
# In a time that grows with the text and no faster: some of it a relay has said.
_JWT_LIKE = re.compile(r"eyJ[\w-]{5}|(?<![\w-])[\w-]{32,}+\.[\w-]{32}|\.[\w-]{43}")


class NotPortable(Exception):
    """A text can't be written to a file: it holds a token of which no recipe is known, or a placeholder's own text."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to make a token: a valid one of `tenant` and `subject` (None: the usual), or `forgery` made of `of`."""

    tenant: str = ""
    subject: str | None = None
    forgery: str = ""
    of: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as a JSON object."""
        if self.forgery:
            return {"forgery": self.forgery, "of": self.of}
        return {"tenant": self.tenant, **({"subject": self.subject} if self.subject is not None else {})}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Recipe:
        """Return the recipe that `to_dict` made."""
        return cls(**data)


@dataclass(slots=True)
class Recipes:
    """The tokens of one case, each with its recipe and the name of its placeholder."""

    _names: dict[str, str] = field(default_factory=dict, repr=False)
    _recipes: dict[str, Recipe] = field(default_factory=dict)

    def valid(self, token: str, tenant: str, subject: str | None) -> None:
        """Take note of a valid token."""
        self._add(token, Recipe(tenant=tenant, subject=subject))

    def forged(self, token: object, forgery: str, of: str) -> None:
        """Take note of a forgery made of the valid token `of`; what is too short to be secret needs no recipe."""
        if isinstance(token, str) and len(token) >= _SHORTEST and of in self._names:
            self._add(token, Recipe(forgery=forgery, of=self._names[of]))

    def known(self, name: str) -> Recipe | None:
        """Return the recipe of a placeholder's name."""
        return self._recipes.get(name)

    def hide(self, text: str) -> str:
        """Return `text` with placeholders for every token and for the run's name. Raises NotPortable."""
        if PLACEHOLDER.search(text):
            raise NotPortable("it holds a placeholder's own text")
        for token in sorted(self._names, key=len, reverse=True):
            for spelled in dict.fromkeys((token, *_escaped(token))):
                text = text.replace(spelled, f"<<{self._names[token]}>>")
        text = text.replace(f"cbspec-{RUN}-", "cbspec-<<run>>-")
        if _JWT_LIKE.search(PLACEHOLDER.sub(" ", text)):
            raise NotPortable("it holds a token whose recipe isn't known")
        return text

    def used_in(self, text: str) -> dict[str, dict[str, Any]]:
        """Return the recipes that the placeholders in `text` need, those that they are made of first."""
        wanted: dict[str, Recipe] = {}
        for name in dict.fromkeys(match[1] for match in PLACEHOLDER.finditer(text)):
            recipe = self._recipes.get(name)
            if recipe is not None:
                wanted.update({recipe.of: self._recipes[recipe.of]} if recipe.of else {})
                wanted[name] = recipe
        return {name: recipe.to_dict() for name, recipe in wanted.items()}

    def _add(self, token: str, recipe: Recipe) -> None:
        if token not in self._names:
            name = self._names[token] = f"token-{len(self._names) + 1}"
            self._recipes[name] = recipe


def reveal(text: str, tokens: Callable[[str], str]) -> str:
    """Return `text` with what its placeholders stand for, as it is spelled inside of a JSON string."""

    def stand_in(match: re.Match[str]) -> str:
        return json.dumps(RUN if match[1] == "run" else tokens(match[1]), ensure_ascii=False)[1:-1]

    return PLACEHOLDER.sub(stand_in, text)


def _escaped(token: str) -> tuple[str, str]:
    return json.dumps(token)[1:-1], json.dumps(token, ensure_ascii=False)[1:-1]
