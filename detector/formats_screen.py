"""What a person sees of formats: which there are, and how each line of a file was understood."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from detector.events import Event, Permission, Reject
from detector.formats.about import ABOUT, signs_of
from detector.screens import plain
from detector.wording import plural, size


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """How one record of a line was understood: as an event, or why not; neither if the line holds nothing of ours.

    `line` counts from 1, `index` is the record's place in it. `recognised_by` is "" where a format was told, not
    recognised. `filled` is what the configuration knew, by the name of the field.
    """

    line: int
    index: int = 0
    format: str = ""
    recognised_by: str = ""
    event: Event | None = None
    filled: Mapping[str, str] = {}
    reject: Reject | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON for a script: without the bytes."""
        told: dict[str, Any] = {"line": self.line, "index": self.index, "format": self.format}
        told["recognised_by"] = self.recognised_by or None
        if self.reject is not None:
            return told | {"reject": {"reason": self.reject.reason, "detail": self.reject.detail}}
        return told | {"event": self.event, "filled": self.filled}


def formats_table(names: Iterable[str]) -> Table:
    """Each format: what it reads, the shapes of its messages, what it is recognised by."""
    table = Table(show_lines=True)
    table.add_column("Format", style="bold", no_wrap=True)
    table.add_column("Reads", ratio=2)
    table.add_column("A message is", ratio=3)
    table.add_column("Recognised by", ratio=4)
    for name in names:
        about = ABOUT[name]
        table.add_row(name, about.reads, about.shapes, Text("; ".join(signs_of(name)) or "-"))
    return table


def reading(seen: Reading) -> RenderableType:
    """A record: where it stands and as what, then what was made of it, a fact a line."""
    place = f"line {seen.line}" + (f", record {seen.index}" if seen.index else "")
    by = f" by {seen.recognised_by}" if seen.recognised_by else ""
    head = Text.assemble((place, "bold"), "  ", plain(f"{seen.format}{by}" if seen.format else "not recognised"))
    if seen.reject is not None:
        return Group(head, _facts((("refused", f"{seen.reject.reason}: {seen.reject.detail}"),), "red"))
    if seen.event is None:
        return Group(head, _facts((("holds", "nothing that the detector reads"),), "dim"))
    filled = ", ".join(f"{name} {value}" for name, value in seen.filled.items())
    return Group(head, _facts((*_told(seen.event), ("from config", filled)), ""))


def _facts(facts: Iterable[tuple[str, str]], style: str) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(min_width=13, justify="right", style="dim")
    grid.add_column(overflow="fold", style=style)
    for name, value in facts:
        if value:
            grid.add_row(name, plain(value))
    return grid


def _told(event: Event) -> Iterator[tuple[str, str]]:
    actor, target, to = event.actor, event.target, event.destination
    yield "when", f"{event.time:%Y-%m-%d %H:%M:%S.%f %Z}"
    yield "who", _joined(actor.kind, actor.id, actor.role and f"of role {actor.role}")
    yield "for", actor.on_behalf_of or ""
    yield "session", actor.session or ""
    yield "what", _joined(event.kind, event.action)
    if target is not None:
        yield "on what", _joined(target.uri, target.type and f"({target.type})", f"sensitivity {target.sensitivity}")
    if to is not None:
        names = ", ".join(name for name in (to.host, to.account, to.recipient) if name)
        yield "where to", _joined(names, f"zone {to.zone}")
    yield "how much", _volumes(event)
    yield "permission", "" if event.permission is None else _permission(event.permission)
    yield "outcome", event.outcome
    yield "id", event.id
    yield "besides", ", ".join(f"{name}={value}" for name, value in event.attributes.items())


def _volumes(event: Event) -> str:
    told = (
        event.bytes_out and f"{size(event.bytes_out)} out",
        event.bytes_in and f"{size(event.bytes_in)} in",
        event.records and plural(event.records, "record"),
    )
    return ", ".join(part for part in told if part)


def _permission(change: Permission) -> str:
    return _joined(
        change.change,
        change.privilege and f"“{change.privilege}”",
        change.grantee and f"for {change.grantee}",
        f"audience {change.audience}",
        change.expires_at and f"until {change.expires_at:%Y-%m-%d %H:%M %Z}",
        change.temporary and "temporary",
    )


def _joined(*parts: Any) -> str:
    return " ".join(str(part) for part in parts if part)


_NOTHING: Final = "nothing of ours"


def summary(counts: Mapping[str, int], refused: Counter[str], lines: int) -> Text:
    """What came of all lines, in one."""
    told = ", ".join(f"{name or _NOTHING} {count}" for name, count in sorted(counts.items()))
    why = ", ".join(f"{reason} {count}" for reason, count in sorted(refused.items()))
    text = Text(f"{plural(lines, 'line')}: {told or 'no events'}")
    if refused:
        text.append(f"; refused: {why}", style="red")
    return text
