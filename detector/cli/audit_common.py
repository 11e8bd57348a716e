"""What the audit commands share: their options, the store to ask, and where the answer goes."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from detector import screens
from detector.audit import show
from detector.audit.answer import EARLIEST, LATEST, Answer, AuditError, Span, moment
from detector.audit.beside import open_to_ask
from detector.config_base import ConfigError
from detector.config_file import load
from detector.store.client import Store

StoreOption = Annotated[
    str | None, typer.Option("--store", "-s", help="The store to ask, e.g. chdb://./var/demo/store; else store.url.")
]
AnswerFormat = Annotated[
    show.Format | None,
    typer.Option("--format", "-f", help="table on a terminal; csv and parquet hold one table, json and md all."),
]
OutOption = Annotated[Path | None, typer.Option("--out", "-o", help="Write there; its ending tells the format.")]
TableOption = Annotated[
    str | None, typer.Option("--table", help="Which table of the answer csv and parquet hold; the first if not given.")
]
SinceOption = Annotated[str | None, typer.Option("--since", help="From then on (ISO 8601, UTC if no zone is given).")]
UntilOption = Annotated[str | None, typer.Option("--until", help="Up to then, without it.")]

EMPTY: Final = 0
"""Status of a command whose answer is that there is nothing: that is an answer."""


def span_of(since: str | None, until: str | None) -> Span:
    """The span between two options.

    Raises:
        AuditError: One of them is no time, or they are in the wrong order.
    """
    first: datetime = moment(since) if since else EARLIEST
    last: datetime = moment(until) if until else LATEST
    if first >= last:
        raise AuditError(f"the span ends ({until}) before it begins ({since})")
    return Span(first, last)


@contextmanager
def asked(store: str | None, config: Path | None) -> Iterator[Store]:
    """The store to ask, named by an option or by the configuration; open for reading until the block is left.

    Raises:
        ConfigError: None is named.
        StoreError: It can't be read now.
    """
    settings = load(config)
    if store is not None:
        section = settings.store.model_copy(update={"url": store})
        settings = settings.model_copy(update={"store": section})
    if settings.store.url is None:
        raise ConfigError(
            "no store to ask: give --store, or --config with store.url in it "
            "(that of the demo is chdb://./var/demo/store)"
        )
    with open_to_ask(settings.store.url, password=settings.store.secret, ca_cert=settings.store.ca_file) as opened:
        yield opened


def tell(answer: Answer, form: show.Format | None, out: Path | None, name: str | None = None) -> None:
    """Show the answer, or write it.

    Raises:
        AuditError: The format, or a table of that name, is not to be had.
        OSError: The file can't be written.
    """
    form = form or _of_ending(out)
    if form == "table":
        if out is not None:
            raise AuditError("a table is for the terminal: into a file goes --format csv, json, md or parquet")
        show.to_screen(answer, screens.stdout())
        return
    body = show.WRITERS[form](answer, name)
    if out is not None:
        out.write_bytes(body)
        screens.stderr().print(f"written to {out}", markup=False, highlight=False)
    else:
        if form == "parquet" and sys.stdout.isatty():
            raise AuditError("Parquet is not for a terminal: give --out FILE")
        sys.stdout.buffer.write(body)
        sys.stdout.flush()
    others = [table.name for table in answer.tables if table.rows and table is not show.chosen(answer, name)]
    if form in {"csv", "parquet"} and others:
        screens.stderr().print(f"one table of the answer; --table has {', '.join(others)}", markup=False)


def _of_ending(out: Path | None) -> show.Format:
    if out is None:
        return "table"
    found = {".csv": "csv", ".json": "json", ".parquet": "parquet", ".md": "md"}.get(out.suffix.lower())
    if found is None:
        raise AuditError(
            f"{out.name} does not tell the format: end it in .csv, .json, .md or .parquet, or give --format"
        )
    return next(form for form in show.FORMATS if form == found)
