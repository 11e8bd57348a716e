"""Command: feedback."""

import logging
from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated

import typer

from detector import screens
from detector.cli.common import ConfigOption, whoami
from detector.config import Config
from detector.config_file import load
from detector.feedback import Feedback, Verdict
from detector.findings import stable_id
from detector.judging import FeedbackError, check_against, moment_from_now
from detector.kafka_settings import client_settings
from detector.logs import log_to_stderr
from detector.sinks.base import Batch, SinkUnavailable
from detector.sinks.kafka import KafkaSink


def feedback(
    alert: Annotated[str, typer.Argument(help="Id of the alert (a-…).")],
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why, for whoever asks later.")],
    verdict: Annotated[
        Verdict | None,
        typer.Option(
            "--verdict", "-v", help="true: it was one; false: nothing of note happened; benign: it happened, and may."
        ),
    ] = None,
    undo: Annotated[str | None, typer.Option(help="Take this verdict (v-…) on the alert back instead.")] = None,
    until: Annotated[
        str | None, typer.Option(help="Let what follows end earlier: a time (ISO 8601), or days from now (14d).")
    ] = None,
    by: Annotated[str | None, typer.Option(help="Who says so; the user of this session if not given.")] = None,
    config: ConfigOption = None,
) -> None:
    """Judge an alert: it is closed, and what a false or benign one rests on is told no more, within bounds.

    Only what statistical detectors found is ever silenced, below SEV1, for so many days: a new endpoint for the role,
    an amount up to half as much again. Rules that need no statistics speak again, whatever was said. Nobody judges an
    alert that is about himself. It takes effect after a minute, and `--undo` takes it back.

    Needs the service's Kafka; with a store configured, the alert is looked up first. What came of it stands in the
    store's view `verdicts`: detector audit sql "SELECT * FROM verdicts".
    """
    log_to_stderr(logging.WARNING)
    settings, now, by = load(config), datetime.now(UTC), by or whoami()
    try:
        said = Feedback(
            id=stable_id("v", alert, by, now.isoformat()),
            time=now,
            by=by,
            alert=alert,
            verdict=verdict,
            reason=reason,
            until=moment_from_now(until, now) if until is not None else None,
            undoes=undo,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    check_against(settings, said)
    _publish(settings, said)
    what = f"that {undo} is taken back" if undo is not None else f"that {alert} is {verdict}"
    screens.stderr().print(f"handed over, {what}: {said.id}", markup=False, highlight=False)


def _publish(settings: Config, said: Feedback) -> None:
    with closing(KafkaSink(client_settings(settings.kafka), {"signals": settings.kafka.topics.findings})) as sink:
        try:
            refused = sink.write(Batch(signals=[said]))
        except SinkUnavailable as error:
            raise FeedbackError(f"the verdict could not be handed over, nothing changed ({error})") from error
    if refused:
        raise FeedbackError(f"the topic takes no message as large: {refused[0].reason}")
