"""What people may ask a running service for over HTTP, besides looking at it: verdicts on alerts."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from detector.feedback import Feedback, Name, Text, Time, Verdict
from detector.findings import stable_id
from detector.signals import UNREADABLE

FEEDBACK_PATH: Final = "/api/feedback"

Answer = tuple[int, Sequence[str]]
"""A status of HTTP, and lines of text."""


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    alert: Name
    by: Name
    reason: Text
    verdict: Verdict | None = None
    until: Time | None = None
    undoes: Name | None = None


class FeedbackApi:
    """Takes verdicts in and hands them over.

    Args:
        hand_over: Takes a verdict; whether there was room for it.
        clock: Unix seconds.
    """

    def __init__(self, hand_over: Callable[[Feedback], bool], clock: Callable[[], float] = time.time) -> None:
        self._hand_over = hand_over
        self._clock = clock

    def post(self, body: bytes) -> Answer:
        """Answer a request: 202 with the verdict's id, 400 for what is no verdict, 503 when it can't be taken now.

        The id is made of what is said: said again, it is the same verdict.
        """
        now = datetime.fromtimestamp(self._clock(), UTC)
        try:
            asked = msgspec.json.decode(body, type=_Asked)
            parts = [asked.alert, asked.by, asked.verdict, asked.undoes, asked.reason, asked.until]
            said = Feedback(id=stable_id("v", *map(str, parts)), time=now, **msgspec.structs.asdict(asked))
        except (*UNREADABLE, ValueError) as error:
            return 400, [f"not a verdict: {error}"]
        if said.until is not None and said.until <= now:
            return 400, ["`until` is over already"]
        if not self._hand_over(said):
            return 503, ["Kafka does not take it now: try again, the verdict keeps its id"]
        return 202, [said.id]
