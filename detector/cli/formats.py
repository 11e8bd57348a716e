"""Commands for someone who writes a mapping: which formats there are, and how each line of a file is understood."""

import logging
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Annotated

import msgspec
import typer

from detector import assembly, formats_screen, screens
from detector.cli.common import FAILED, ConfigOption, known_format
from detector.config import Config
from detector.config_file import load
from detector.decoding import Decoder
from detector.events import Rejected
from detector.formats import REGISTRY, registry
from detector.formats.auto import Recognised, recognise
from detector.formats_screen import Reading
from detector.labels import filled
from detector.logs import log_to_stderr
from detector.sources.base import Record
from detector.sources.files import FileSource


def formats() -> None:
    """List the wire formats: what each reads, the shapes of its messages, and what `auto` recognises it by."""
    screens.stdout().print(formats_screen.formats_table(REGISTRY))


def decode(
    file: Annotated[str, typer.Argument(help="File of one message a line, plain or .gz; - for standard input.")],
    format_: Annotated[
        str, typer.Option("--format", "-f", help=f"Wire format: {', '.join(REGISTRY)}.", callback=known_format)
    ] = "auto",
    limit: Annotated[int | None, typer.Option(min=1, help="Lines to look at; all if not given.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a record, for a script.")] = False,
    config: ConfigOption = None,
) -> None:
    """Show how each line of a file is understood and why: for someone who writes or checks a mapping.

    Of each record: the format and what it was recognised by, who did what, on what, where to, what was filled from
    the configuration; or why it was refused. Ends with status 1 if anything was refused.
    """
    log_to_stderr(logging.WARNING)
    settings = load(config)
    console = screens.stdout()
    counts: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    lines = 0
    for record in islice(FileSource(file, time.time), limit):
        lines += 1
        for seen in _readings(record, format_, settings):
            if seen.reject is not None:
                refused[seen.reject.reason] += 1
            else:
                counts[seen.format if seen.event is not None else ""] += 1
            if json:
                sys.stdout.write(msgspec.json.encode(seen.plain()).decode() + "\n")
            else:
                console.print(formats_screen.reading(seen))
    screens.stderr().print(formats_screen.summary(counts, refused, lines))
    if refused:
        raise typer.Exit(FAILED)


def _readings(record: Record, name: str, settings: Config) -> Iterator[Reading]:
    """How each record of a line is understood."""
    found = Decoder(name, formats=registry(keep_content=settings.content.keep)).decode(record)
    labels = assembly.labels(settings)
    line = record.offset + 1
    if not found:
        yield Reading(line=line, format=_recognised(record.value, name).format)
    for item in found:
        if isinstance(item, Rejected):
            known = _recognised(item.reject.raw, name)
            yield Reading(
                line=line, index=item.index, format=known.format, recognised_by=known.told, reject=item.reject
            )
            continue
        known = _recognised(item.raw, name)
        if known.format != item.format:  # of the record of an envelope only the envelope tells
            known = _recognised(record.value, name)
        event = labels.fill(item.event)
        told = filled(item.event, event)
        yield Reading(
            line=line, index=item.index, format=item.format, recognised_by=known.told, event=event, filled=told
        )


def _recognised(raw: bytes, name: str) -> Recognised:
    """What the bytes are and by what, where that was not told."""
    if name != "auto":
        return Recognised(name, "")
    found = recognise(raw)
    return found if isinstance(found, Recognised) else Recognised("", "")
