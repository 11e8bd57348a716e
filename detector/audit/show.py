"""An answer on a terminal, or as CSV, JSON, Markdown or Parquet."""

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, Final, Literal, get_args

from rich.console import Console, Group, RenderableType
from rich.table import Table as Screen
from rich.text import Text

from detector.audit.answer import Answer, AuditError, Table, iso
from detector.wording import duration, number, printable

Format = Literal["table", "csv", "json", "parquet", "md"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)

CARDS_MOST: Final = 3
"""Rows that are told one below the other where their columns don't fit side by side."""

_COLOURS: Final = {"SEV0": "bold white on red", "SEV1": "bold red", "SEV2": "yellow", "SEV3": "cyan", "SEV4": "dim"}
_SHORT: Final = frozenset({"severity", "entry", "zone", "sensitivity", "version", "status", "kind", "role"})
# How much room a column of words gets, next to others.
_RATIO: Final = {
    "what": 7,
    "reason": 7,
    "title": 5,
    "principal": 3,
    "permission": 4,
    "destination": 4,
    "why": 7,
    "bars": 9,
    "setting": 7,
    "working_day": 6,
    "weekend": 6,
}
# What readers of Markdown make a link of without being asked.
_LINK: Final = re.compile(r"\b(?:(?:https?|ftp|mailto|xmpp):|www\.)", re.IGNORECASE)
# What spreadsheets take for the beginning of a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_MARKDOWN: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;"} | {char: f"\\{char}" for char in "\\`*_[]|~#"} | {"@": "&#64;"}
)


def chosen(answer: Answer, name: str | None) -> Table:
    """The table of that name; the first one if none is given.

    Raises:
        AuditError: There is none of that name.
    """
    known = {table.name: table for table in answer.tables}
    if name is None:
        return answer.tables[0]
    if name not in known:
        raise AuditError(f"the answer has no table {name!r}: it has {', '.join(known)}")
    return known[name]


def to_screen(answer: Answer, console: Console) -> None:
    """Print the answer for a person; what comes from the log can't move the cursor or colour anything."""
    for name, value in answer.facts.items():
        console.print(Text.assemble((f"{name}: ", "bold"), printable(_text(value))))
    for table in answer.tables:
        if table.rows or table is answer.tables[0]:
            console.print(_screen(table, console.width))
    if not answer.tables[0].rows and answer.advice:
        console.print(Text(printable(answer.advice), style="yellow"))
    for note in answer.notes:
        console.print(Text(printable(note), style="dim"))


def _screen(table: Table, width: int) -> RenderableType:
    if not table.rows:
        return Text(f"{printable(table.title)}: nothing.", style="bold")
    shown = places(table)
    needed = sum(
        3 + max(len(table.columns[place]), *(_width(table, place, row) for row in table.rows)) for place in shown
    )
    wide = needed > width
    body = _cards(table, shown) if wide and len(table.rows) <= CARDS_MOST else _grid(table, shown, wide=wide)
    note = [Text(printable(table.note), style="dim")] if table.note else []
    return Group(Text(), Text(printable(table.title), style="bold"), body, *note)


def _width(table: Table, place: int, row: tuple[Any, ...]) -> int:
    """What a cell takes at least: words can be broken, numbers and times can't."""
    return min(len(brief(table.columns[place], row[place])), 16 if isinstance(row[place], str) else 100)


def _grid(table: Table, shown: Sequence[int], *, wide: bool) -> Screen:
    screen = Screen()
    for place in shown:
        name = table.columns[place]
        numeric = all(isinstance(row[place], int | float | None) for row in table.rows) and name != "new"
        whole = numeric or all(isinstance(row[place], datetime | None) for row in table.rows) or name in _SHORT
        screen.add_column(
            name.replace("_", " "),
            justify="right" if numeric else "left",
            overflow="fold",
            no_wrap=whole and not wide,
            min_width=None if whole else min(14, max(len(_text(row[place])) for row in table.rows)),
            ratio=None if whole else _RATIO.get(name, 2),
        )
    screen.expand = any(column.ratio for column in screen.columns)
    for row in table.rows:
        screen.add_row(*(_cell(table.columns[place], row[place]) for place in shown))
    return screen


def _cards(table: Table, shown: Sequence[int]) -> Screen:
    """Few rows of many columns: one below the other, a line for each column."""
    screen = Screen(show_header=False, show_lines=False)
    screen.add_column(style="bold", no_wrap=True)
    screen.add_column(overflow="fold")
    for number_, row in enumerate(table.rows):
        for place in shown:
            last = place == shown[-1] and number_ < len(table.rows) - 1
            name = table.columns[place]
            screen.add_row(name.replace("_", " "), _cell(name, row[place]), end_section=last)
    return screen


def places(table: Table) -> list[int]:
    """The columns to show a person: those that fit, without the ones that say nothing."""
    shown = [table.columns.index(name) for name in table.shown or table.columns]
    return [place for place in shown if any(_says(table.columns[place], row[place]) for row in table.rows)] or shown


def _says(column: str, value: Any) -> bool:
    return value is not None and value not in ("", [], ()) and not (column.startswith("bytes_") and value == 0)


def _cell(column: str, value: Any) -> Text:
    text = printable(brief(column, value))
    return Text(text, style=_COLOURS.get(text, ""))


def brief(column: str, value: Any) -> str:
    """A value where there is little room: times to the second but where order hangs on more, seconds in words."""
    if isinstance(value, datetime) and column != "time":
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    if column.endswith("_seconds") and isinstance(value, int | float):
        return duration(value)
    return _text(value, grouped=True)


def _text(value: Any, *, grouped: bool = False) -> str:
    if value is None or isinstance(value, bool):
        return "" if value is None else "yes" if value else "no"
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, int) and grouped:
        return number(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(_text(part) for part in value)
    return json.dumps(value, ensure_ascii=False, default=_plain) if isinstance(value, Mapping) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return str(value)


def markdown_text(text: str) -> str:
    r"""Text from outside as Markdown that reads the same and does nothing: no link, no HTML, no new table cell.

    >>> markdown_text("<b>|[x](http://e)_")
    '&lt;b&gt;\\|\\[x\\](http&#58;//e)\\_'
    """
    return _LINK.sub(lambda found: found[0][:-1] + f"&#{ord(found[0][-1])};", printable(text).translate(_MARKDOWN))


def to_markdown(answer: Answer) -> str:
    """The answer as Markdown."""
    parts = [f"- **{markdown_text(name)}:** {markdown_text(_text(value))}" for name, value in answer.facts.items()]
    for table in answer.tables:
        if table.rows or table is answer.tables[0]:
            parts += ["", f"## {markdown_text(table.title)}", "", markdown_table(table)]
            parts += ["", markdown_text(table.note)] if table.note else []
    if not answer.tables[0].rows and answer.advice:
        parts += ["", markdown_text(answer.advice)]
    parts += ["", *(f"> {markdown_text(note)}" for note in answer.notes)] if answer.notes else []
    return "\n".join(parts).strip() + "\n"


def markdown_table(table: Table) -> str:
    """The columns that fit a screen, as a pipe table; "Nothing." if there are no rows."""
    if not table.rows:
        return "Nothing."
    shown = places(table)
    lines = [
        "| " + " | ".join(table.columns[place].replace("_", " ") for place in shown) + " |",
        "| " + " | ".join("---" for _ in shown) + " |",
    ]
    lines += [
        "| " + " | ".join(markdown_text(brief(table.columns[p], row[p])) for p in shown) + " |" for row in table.rows
    ]
    return "\n".join(lines)


def to_csv(table: Table) -> str:
    """One table, with a header. A text that a spreadsheet would run as a formula gets an apostrophe before it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.columns)
    for row in table.rows:
        writer.writerow([_csv_cell(value) for value in row])
    return out.getvalue()


def _csv_cell(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return "" if value is None else repr(value) if isinstance(value, float) else str(value).lower()
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict | tuple) else _plain(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def to_json(answer: Answer) -> str:
    """All of the answer: facts, tables as lists of objects, notes. Times are ISO 8601, UTC."""
    told = {
        "facts": answer.facts,
        "tables": {table.name: table.dicts() for table in answer.tables},
        "notes": [*answer.notes, *(table.note for table in answer.tables if table.note)],
    }
    return json.dumps(told, ensure_ascii=False, indent=2, default=_plain) + "\n"


def to_parquet(table: Table) -> bytes:
    """One table, typed; what has no type of its own in Parquet is JSON text.

    Raises:
        AuditError: pyarrow is not there.
    """
    try:
        pa, pq = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise AuditError("Parquet needs pyarrow: pip install pyarrow, or ask for csv or json") from error
    columns: dict[str, list[Any]] = {
        name: [_parquet_cell(row[place]) for row in table.rows] for place, name in enumerate(table.columns)
    }
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def _parquet_cell(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    return json.dumps(value, ensure_ascii=False, default=_plain) if isinstance(value, dict) else value


WRITERS: Final[Mapping[Format, Callable[[Answer, str | None], bytes]]] = {
    "csv": lambda answer, name: to_csv(chosen(answer, name)).encode(),
    "json": lambda answer, _: to_json(answer).encode(),
    "md": lambda answer, _: to_markdown(answer).encode(),
    "parquet": lambda answer, name: to_parquet(chosen(answer, name)),
}
