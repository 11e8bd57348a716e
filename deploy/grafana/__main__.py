"""Writes the dashboards: `python -m deploy.grafana [FOLDER]`."""

import sys
from pathlib import Path

from deploy.grafana.pages import FOLDER, PAGES, text


def main(folder: Path = FOLDER) -> None:
    """Write every dashboard, and remove what is none any more."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in set(folder.glob("*.json")) - {folder / f"{page.uid}.json" for page in PAGES}:
        old.unlink()
    for page in PAGES:
        (folder / f"{page.uid}.json").write_text(text(page), encoding="utf-8")
        sys.stdout.write(f"{folder / page.uid}.json written\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
