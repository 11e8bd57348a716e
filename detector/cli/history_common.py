"""What the commands over history share: where it comes from, the span, a bar that can be interrupted."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from detector import screens
from detector.audit.answer import EARLIEST, LATEST, Span, iso, moment, records
from detector.backtest import known as incidents
from detector.backtest.known import Known
from detector.backtest.workers import interruptible
from detector.cli.audit_common import asked
from detector.config import Config
from detector.config_base import ConfigError
from detector.config_digests import revived
from detector.config_file import load
from detector.history.files import from_files
from detector.history.rows import Row
from detector.history.stored import StoredHistory, topics
from detector.sources.files import FileSource
from detector.store.client import Store
from detector.wording import number

WARM_UP: Final = 7.0

HistoryArgument = Annotated[
    list[str] | None, typer.Argument(help="Log files, plain or .gz, oldest first; the event store if none is given.")
]
FromOption = Annotated[
    str | None, typer.Option("--from", help="Count from then on (ISO 8601, UTC if no zone is given); all if not given.")
]
ToOption = Annotated[str | None, typer.Option("--to", help="Up to then, without it.")]
WarmUpOption = Annotated[
    float, typer.Option("--warm-up", min=0, help="Days played before --from, to fill the baselines.")
]
TopicOption = Annotated[
    list[str] | None,
    typer.Option("--topic", help="Topic of the store; may be given several times. Else those it reads."),
]
LabelsOption = Annotated[
    list[Path] | None,
    typer.Option("--labels", help="Known incidents: expected.yaml of a scenario, or sessions as JSON lines."),
]


class History(msgspec.Struct):
    """History to be played, as often as one likes: its rows, their number, and where it comes from, in words.

    `known` are the incidents in it; `in_force` is the configuration that it was last scored by, None if nobody knows.
    `topics` are those it is of; `store` is what holds it, None for files.
    """

    rows: Callable[[], Iterable[Row]]
    total: int | None
    name: str
    since: datetime | None
    known: list[Known]
    in_force: tuple[Config, str] | None = None
    place: Callable[[], int] | None = None
    store: Store | None = None
    topics: list[str] = []


_LAST_CONFIG: Final = "SELECT config, body, first_seen FROM config_versions ORDER BY first_seen DESC LIMIT 1"


def span_of(since: str | None, until: str | None, warm_up: float) -> tuple[datetime | None, Span]:
    """From when on is counted, and what is played.

    Raises:
        AuditError: One of them is no time.
        ConfigError: They are in the wrong order.
    """
    first, last = (moment(since) if since else None), (moment(until) if until else LATEST)
    if first is not None and first >= last:
        raise ConfigError(f"the span ends (--to {until}) before it begins (--from {since})")
    begins = EARLIEST if first is None else max(EARLIEST, first - timedelta(days=warm_up))
    return first, Span(begins, last)


@contextmanager
def history(
    files: Sequence[str] | None,
    store: str | None,
    config: Path | None,
    spans: tuple[datetime | None, Span],
    names: Sequence[str] | None,
    labels: Sequence[Path] | None,
) -> Iterator[History]:
    """The history that options name; a store is open until the block is left.

    Raises:
        ConfigError: There is none, or options don't go together.
        AuditError, StoreError: The store can't be asked.
    """
    since, span = spans
    known = [each for path in labels or () for each in incidents.read(path)]
    if files:
        if store is not None or names:
            raise ConfigError("history comes from FILES or from a store: leave out --store and --topic, or the files")
        sources = [FileSource(name, time.time) for name in files]
        sizes = [source.size for source in sources]
        total = None if None in sizes else sum(size or 0 for size in sizes)
        yield History(
            lambda: from_files(sources), total, ", ".join(files), since, incidents.told_apart(known),
            place=lambda: sum(source.position for source in sources),
            topics=[source.topic for source in sources],
        )  # fmt: skip
        return
    with asked(store, config) as opened:
        chosen = _topics(opened, load(config), span, names)
        stored = StoredHistory(opened, chosen, span)
        known += [each for each in incidents.confirmed(opened, span) if each.name not in {one.name for one in known}]
        told = f"{', '.join(chosen)} in {opened.url}"
        yield History(
            lambda: stored, stored.events, told, since, incidents.told_apart(known), _in_force(opened),
            store=opened, topics=chosen,
        )  # fmt: skip


def _topics(store: Store, config: Config, span: Span, names: Sequence[str] | None) -> list[str]:
    """The topics to play: those named, else those that the configuration reads, else all that there are."""
    there = {topic.topic: topic for topic in topics(store, span)}
    if not there:
        held = topics(store)
        times = [iso(min(topic.since for topic in held)), iso(max(topic.until for topic in held))] if held else []
        raise ConfigError(f"the store holds no events{span.words}: it has {' to '.join(times) or 'none at all'}")
    missing = [name for name in names or () if name not in there]
    if missing:
        raise ConfigError(f"the store holds no events of {', '.join(missing)}; it holds {', '.join(there)}")
    read = [source.topic for source in config.read if source.topic in there]
    return list(names or read or there)


def _in_force(store: Store) -> tuple[Config, str] | None:
    """The configuration that wrote to the store last, if it is one of this program's."""
    for row in records(store.client.query(_LAST_CONFIG)):
        with suppress(ValueError):
            config, replaced = revived(row["body"])
            others = f", with the present file of {', '.join(replaced)}" if replaced else ""
            return config, f"{row['config']}, in force since {iso(row['first_seen'])}{others}"
    return None


@contextmanager
def bar(name: str, past: History, quiet: bool) -> Iterator[tuple[Callable[[int], None], Callable[[], bool]]]:
    """A bar with the time left, on a terminal; gives what moves it on, and what says that Ctrl-C was pressed."""
    console = screens.stderr()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        Progress(*columns, console=console, disable=quiet or not console.is_terminal) as progress,
        interruptible() as stopped,
    ):
        task = progress.add_task(name, total=past.total)

        def moved(rows: int) -> None:
            if past.place is not None:
                progress.update(task, completed=past.place())
            else:
                progress.advance(task, rows)

        yield moved, stopped


def cut_short(events: int) -> str:
    """What a person reads of a result that Ctrl-C made partial."""
    return f"PARTIAL: interrupted after {number(events)} events; what came later is in no number here."
