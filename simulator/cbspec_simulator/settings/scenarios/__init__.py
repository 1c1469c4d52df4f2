"""Ready-made scenarios, each a file beside this one that is named after what a client's author wants to try."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from cbspec_simulator.settings.config import ConfigError

_FOLDER: Final = Path(__file__).parent


def scenarios() -> Iterable[tuple[str, str]]:
    """Give the ready-made scenarios: name and sentence, which is the file's first line."""
    for file in sorted(_FOLDER.glob("*.toml")):
        yield file.stem, file.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")


def scenario_file(name: str) -> Path:
    """Return the file of a ready-made scenario, or the one that is named; raises ConfigError where there is neither."""
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
