"""The command `detector train`."""

import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
import typer

from detector import assembly, screens
from detector.audit.answer import Span
from detector.audit.show import to_screen
from detector.backtest.workers import interruptible, play
from detector.cli import history_common as common
from detector.cli.audit_common import StoreOption, span_of
from detector.cli.backtest import INTERRUPTED
from detector.cli.common import ConfigOption, FormatOption
from detector.config import Config
from detector.config_file import load
from detector.history.rows import Row
from detector.logs import log_to_stderr
from detector.sources.base import Record
from detector.train import TrainError

# pandas and scikit-learn take a second to load, so only this command imports what needs them, when it needs it.
if TYPE_CHECKING:
    from detector.train.card import Comparison
    from detector.train.training import Trained
    from models.forest import ForestParams

T = TypeVar("T")


def train(  # noqa: PLR0913, PLR0917 - one an option
    files: common.HistoryArgument = None,
    out: Annotated[Path, typer.Option(help="Folder of the model and its card.")] = Path("var/model"),
    compare: Annotated[
        Path | None,
        typer.Option(metavar="MODEL", help="Train nothing: compare this model, and write that into its card."),
    ] = None,
    format_: FormatOption = None,
    config: ConfigOption = None,
    since: Annotated[
        str | None, typer.Option("--from", "--since", help="From then on (ISO 8601, UTC), by full hours.")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", "--until", help="Up to then, by full hours.")] = None,
    warm_up: Annotated[
        float,
        typer.Option(min=0, help="With --compare, of a history that is later than the training: days to warm up."),
    ] = common.WARM_UP,
    contamination: Annotated[
        float, typer.Option(min=0.0, max=0.5, help="Share of the history that is taken to be strange itself.")
    ] = 0.001,
    seed: Annotated[int, typer.Option(help="Same data and seed, same model.")] = 0,
    topic: common.TopicOption = None,
    store: StoreOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar, no tables.")] = False,
) -> None:
    """Train the challenger's isolation forest on history, and compare it with the detectors that run.

    History is FILES, or the event store that --store or the configuration names. Its last fifth is held out of the
    training; it is played through the detectors of the configuration, warmed by the rest, with the forest beside them.
    The tables tell which hours of principals both flag or only one of them, and how many notes a day the forest would
    add; the model's card holds the same. Nothing is written before the end, so Ctrl-C leaves all as it was.

    The model takes effect when `detectors.forest_challenger.model` names it; one that was not compared is refused.
    """
    log_to_stderr(logging.WARNING)
    if "-" in (files or ()):
        raise typer.BadParameter("history is read twice: standard input can't be", param_hint="FILES")
    from detector.train import answer, training  # noqa: PLC0415 - as above
    from models.forest import ForestParams  # noqa: PLC0415 - as above

    settings, span = load(config), _full_hours(span_of(since, until))
    try:
        with common.history(files, store, config, (None, span), topic, None) as past:
            if compare is None:
                model, params = out / training.MODEL_FILE, ForestParams(contamination=contamination, seed=seed)
                trained = _train(past, settings, span, format_, params, quiet=quiet)
            else:
                model, trained = compare, training.trained_before(compare)
            found = _compare(past, settings, span, format_, trained, warm_up, quiet=quiet)
        card = msgspec.structs.replace(trained.card, comparison=found)
        with interruptible():
            training.write(model.parent, card, trained.data if compare is None else None)
    except KeyboardInterrupt:
        screens.stderr().print("interrupted: nothing was written", style="red")
        raise typer.Exit(INTERRUPTED) from None
    if not quiet:
        to_screen(answer.told(card, found, model), screens.stdout())


def _train(
    past: common.History, settings: Config, span: Span, format_: str | None, params: "ForestParams", *, quiet: bool
) -> "Trained":
    """Read history, and train on it.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    from detector.train import history, training  # noqa: PLC0415 - as above

    def frames() -> Iterator[Any]:
        if past.store is not None:
            client, names = past.store.client, past.topics
            for frame in history.from_store(client, history.windows(client, span, names), topics=names):
                yield frame
                moved(len(frame))
            return
        decoder = assembly.decoder(settings, format_)
        for _, rows in groupby(_until(past.rows(), stopped), key=lambda row: row.topic):
            yield from history.from_records(map(_record, rows), decoder, lambda: moved(0), span)

    with common.bar("train", past, quiet) as (moved, stopped):
        sources = past.topics if past.store is None else [past.name]
        trained = training.train(_until(frames(), stopped), sources, params)
        if stopped():  # while the forest grew
            raise KeyboardInterrupt
    return trained


def _compare(
    past: common.History,
    settings: Config,
    span: Span,
    format_: str | None,
    trained: "Trained",
    warm_up: float,
    *,
    quiet: bool,
) -> "Comparison":
    """Play history with the forest beside the detectors.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed.
        TrainError: Nothing of the history counts.
    """
    from detector.train.compare import Beside  # noqa: PLC0415 - as above

    held_out_from = trained.card.held_out_from
    maker = partial(Beside, settings, trained.forest, held_out_from, format_name=format_, span=span, warm_up=warm_up)
    with common.bar("compare", past, quiet) as (moved, stopped):
        (found,) = play(past.rows(), [maker], moved, stopped)
        if stopped():
            raise KeyboardInterrupt
    comparison: Comparison = found
    if not comparison.hours:
        raise TrainError(
            f"nothing of the history can be compared: only what comes after {held_out_from:%Y-%m-%d %H:%M}, when the "
            f"training of the forest ended, and after a warm-up of {warm_up:g} days (--warm-up) where nothing else is "
            "before it: give a longer history"
        )
    return comparison


def _until(items: Iterable[T], stopped: Callable[[], bool]) -> Iterator[T]:
    """The items, while Ctrl-C is not pressed.

    Raises:
        KeyboardInterrupt: It was.
    """
    for item in items:
        if stopped():
            raise KeyboardInterrupt
        yield item


def _record(row: Row) -> Record:
    return Record(row.topic, row.partition, row.offset, None, row.raw, row.received_at)


def _full_hours(span: Span) -> Span:
    """The span with the hours that it cuts, since an hour is judged as a whole."""
    hour = timedelta(hours=1)
    since = span.since.replace(minute=0, second=0, microsecond=0)
    until = span.until.replace(minute=0, second=0, microsecond=0)
    return Span(since, until if until == span.until else until + hour)
