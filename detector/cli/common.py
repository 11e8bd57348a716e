"""What the commands share: options, progress, opening a store, and the errors that a person can mend."""

import getpass
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from detector import screens
from detector.audit.answer import AuditError
from detector.auditing import LinkedStore, anchor_sink
from detector.backtest.workers import PlayError
from detector.checkpoints import CheckpointError
from detector.config import Config
from detector.config_base import ConfigError
from detector.event_store import open_store
from detector.formats import REGISTRY as FORMATS
from detector.judging import FeedbackError
from detector.model_file import ModelError
from detector.produce import ProduceError
from detector.sinks.base import Sink, SinkUnavailable
from detector.sources.base import SourceError
from detector.sources.files import FileSource
from detector.store.errors import StoreError
from detector.topics import TopicError
from detector.train import TrainError

FAILED: Final = 1
KNOWN: Final = (
    AuditError,
    CheckpointError,
    ConfigError,
    FeedbackError,
    ModelError,
    OSError,
    PlayError,
    ProduceError,
    SinkUnavailable,
    SourceError,
    StoreError,
    TopicError,
    TrainError,
)
"""Exceptions that tell a person what is wrong and what to do: shown in one line, without a traceback."""

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", help="Configuration: a YAML file, or a folder of them; every setting has a default."
    ),
]
FilesArgument = Annotated[list[str], typer.Argument(help="NDJSON files, plain or .gz; - for standard input.")]


def whoami() -> str:
    """The user of this session.

    Raises:
        typer.BadParameter: The system has no name for it, as in many containers.
    """
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise typer.BadParameter("the system has no name for this user: say who you are", param_hint="--by") from None


def known_format(name: str | None) -> str | None:
    """The name of a wire format, if one is given.

    Raises:
        typer.BadParameter: No such format.
    """
    if name is not None and name not in FORMATS:
        raise typer.BadParameter(f"{name!r} is not a format; known: {', '.join(FORMATS)}", param_hint="--format")
    return name


FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format",
        "-f",
        help=f"Wire format: {', '.join(FORMATS)}; that of the configuration if not given.",
        callback=known_format,
    ),
]


def store_sink(settings: Config, url: str, stack: ExitStack) -> Sink:
    """A sink into the store at `url`, open until the stack is left; then its chain is anchored, as configured.

    Anchors tell of one store: those of another than the configured one would look like those of a chain that is gone.
    """
    with_url = settings.model_copy(update={"store": settings.store.model_copy(update={"url": url})})
    store = open_store(with_url)
    assert store is not None  # noqa: S101 - a URL was given
    stack.enter_context(store)
    chain = LinkedStore(settings)
    anchors = anchor_sink(settings, chain) if url == settings.store.url else None
    if anchors is not None:
        stack.callback(anchors.close)
    return chain.sink(store)


def teller(progress: Progress, name: str, source: FileSource) -> Callable[[], None]:
    """A bar for one file, and what moves it on."""
    bar = progress.add_task(name, total=source.size)
    return lambda: progress.update(bar, completed=source.position)


def progress_bar(quiet: bool) -> Progress:
    """Bars on standard error, if it is a terminal that wants them."""
    console = screens.stderr()
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=quiet or not console.is_terminal)
