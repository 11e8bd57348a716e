"""What is looked up before a verdict on an alert is handed over: so that a slip is told at once."""

import re
from datetime import datetime, timedelta

from detector.audit.beside import open_to_ask
from detector.config import Config
from detector.feedback import Feedback, same_person

_DAYS = re.compile(r"(\d+(?:\.\d+)?)d")


class FeedbackError(Exception):
    """A verdict can't be taken; the message says why and what to do."""


def moment_from_now(text: str, now: datetime) -> datetime:
    """A time from ISO 8601 or from days to come.

    >>> from datetime import UTC
    >>> moment_from_now("14d", datetime(2026, 3, 1, tzinfo=UTC)).isoformat()
    '2026-03-15T00:00:00+00:00'

    Raises:
        ValueError: It is neither, lies in the past, or has no time zone.
    """
    days = _DAYS.fullmatch(text)
    if days is not None:
        return now + timedelta(days=min(float(days[1]), 3650.0))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is neither a time such as 2026-12-31T18:00:00Z nor days such as 14d") from None
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone: write for example {text}Z")
    if moment <= now:
        raise ValueError(f"{text!r} is over already")
    return moment


def check_against(config: Config, feedback: Feedback) -> None:
    """Look a verdict over by what the configuration and the store say; correlation has the last word.

    Raises:
        FeedbackError: It would be refused.
        StoreError: The store can't be read now.
    """
    if not config.feedback.allows(feedback.by):
        raise FeedbackError(f"{feedback.by} is none of those who may judge alerts (`feedback.operators`)")
    if config.store.url is None:
        return
    with open_to_ask(config.store.url, password=config.store.secret, ca_cert=config.store.ca_file) as store:
        rows = store.client.query(
            "SELECT principals, resolution FROM alerts_current WHERE id = {alert:String}",
            parameters={"alert": feedback.alert},
        ).result_rows
    if not rows:
        raise FeedbackError(f"the store knows no alert {feedback.alert}: is its id right?")
    principals, resolution = rows[0]
    if resolution.startswith("merged into "):
        raise FeedbackError(f"the alert was {resolution}: judge that one")
    if any(same_person(feedback.by, name) for name in principals):
        raise FeedbackError("nobody judges an alert that is about himself")
