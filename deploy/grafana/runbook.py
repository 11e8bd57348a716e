"""Runbook: what to do about each alert, out of deploy/prometheus/RUNBOOK.md, beside the dashboards it speaks of."""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml
from grafana_foundation_sdk.builders import text
from grafana_foundation_sdk.models.text import TextMode

from deploy.grafana.layout import RUNBOOK, Page, Section, Shelf
from deploy.grafana.panels import Panel

FOLDER: Final = Path(__file__).parents[1] / "prometheus"

GROUPS: Final = {
    "detections": "What was detected",
    "process": "Is anybody watching?",
    "stream": "Does what happens come in, in time, and is it understood?",
    "state": "Does what was made get out, and would a restart lose nothing?",
    "workers": "Do several workers judge like one?",
    "drift": "Does what is normal still look like what was learnt?",
    "objective": "Are alerts in time?",
}
"""The files of rules, in the order of the page."""

COLUMNS: Final = 12
LINE: Final = 88
"""Letters on a line of half a page."""

_WHERE = re.compile(r"^\[([^\]]+)\]: https?://[^/]+(/d/\S+)$", re.MULTILINE)


def written() -> dict[str, str]:
    """What the runbook says of each alert, by its name."""
    text = (FOLDER / "RUNBOOK.md").read_text(encoding="utf-8")
    links = dict(_WHERE.findall(text))
    sections = dict(part.split("\n", 1) for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:])
    return {name: _linked(said.strip(), links) for name, said in sections.items()}


def _linked(said: str, links: dict[str, str]) -> str:
    """A section by itself: other sections are named, dashboards linked within this Grafana, lines as they fit."""
    said = re.sub(r"(?<!\n)\n(?!\n)", " ", said)
    said = re.sub(r"\[(\w+)\]\(#\w+\)", r"**\1**", said)
    return re.sub(r"\[([^\]]+)\](?!\()", lambda match: f"[{match[1]}]({links[match[1]]})", said)


def _alerts(file: str) -> Iterator[str]:
    for group in yaml.safe_load((FOLDER / f"rules/{file}.yml").read_text(encoding="utf-8"))["groups"]:
        yield from (rule["alert"] for rule in group["rules"] if "alert" in rule)


def _height(said: str) -> int:
    """In units of the grid, of which one is about two lines high."""
    paragraphs = said.split("\n\n")
    lines = sum(math.ceil(len(paragraph) / LINE) for paragraph in paragraphs)
    return 2 + math.ceil((lines + len(paragraphs)) * 0.55)


def _panel(name: str, said: str) -> Panel:
    return text.Panel().title(name).description(f"What to do about {name}.").mode(TextMode.MARKDOWN).content(said)


def _section(file: str, said: dict[str, str]) -> Section:
    names = list(_alerts(file))
    shelves = []
    for pair in (names[place : place + 2] for place in range(0, len(names), 2)):
        width = COLUMNS * 2 // len(pair)
        height = max(_height(said[name]) for name in pair)
        shelves.append(Shelf(height, *((width, _panel(name, said[name])) for name in pair)))
    return Section(GROUPS[file], *shelves)


def _page() -> Page:
    said = written()
    return Page(
        uid=RUNBOOK,
        title="Rogue agents: runbook",
        about="What each alert of Prometheus' means, and what to do about it.",
        span="now-6h",
        sections=tuple(_section(file, said) for file in GROUPS),
    )


PAGE: Final = _page()
