"""Writes docs/: `python -m tests.repo.generate`, or `make docs`."""

from __future__ import annotations

from tests.repo.documents import DOCUMENTS, MEASURED, WRITTEN
from tests.repo.tree import ROOT, name


def main() -> None:
    """Write the documents that changed, and delete all other files in docs/."""
    folder = ROOT / "docs"
    folder.mkdir(exist_ok=True)
    for stray in sorted(folder.iterdir()):
        if stray.name not in {*DOCUMENTS, *MEASURED, *WRITTEN}:
            stray.unlink()
            print(f"{name(stray)}: deleted")
    for file, write in DOCUMENTS.items():
        path, text = folder / file, write()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"{name(path)}: written")


if __name__ == "__main__":
    main()
