"""Ready-made scenarios: one file for each situation of a client, in this folder."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from cbspec_simulator.settings.config import ConfigError

_FOLDER: Final = Path(__file__).parent


def scenarios() -> Iterator[tuple[str, str]]:
    """Yield name and sentence of each ready-made scenario; the sentence is the first line of its file."""
    for file in sorted(_FOLDER.glob("*.toml")):
        yield file.stem, file.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")


def scenario_file(name: str) -> Path:
    """Return the file of a ready-made scenario, or the file with this path; raises ConfigError if neither exists."""
    ready = _FOLDER / f"{name}.toml"
    if Path(name).name == name and ready.exists():
        return ready
    if Path(name).exists():
        return Path(name)
    near = get_close_matches(name, [known for known, _ in scenarios()], n=3, cutoff=0.4)
    hint = (
        f"did you mean {' or '.join(near)}?" if near else "cbspec simulate --list-scenarios lists the ready-made ones"
    )
    raise ConfigError(f"scenario {name}: no such scenario and no such file; {hint}")
