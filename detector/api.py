"""What people may ask a running service for over HTTP, besides looking at it: verdicts on alerts."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from detector.feedback import Feedback, Verdict
from detector.findings import stable_id

FEEDBACK_PATH: Final = "/api/feedback"

Answer = tuple[int, Sequence[str]]
"""A status of HTTP, and lines of text."""


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    alert: str
    by: str
    reason: str
    verdict: Verdict | None = None
    until: datetime | None = None
    undoes: str | None = None


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
        """Answer a request: 202 with the verdict's id, 400 for what is no verdict, 503 when it can't be taken now."""
        try:
            asked = msgspec.json.decode(body, type=_Asked)
        except msgspec.DecodeError as error:
            return 400, [f"not a verdict: {error}"]
        wrong = _objection(asked)
        if wrong:
            return 400, [wrong]
        now = datetime.fromtimestamp(self._clock(), UTC)
        said = Feedback(
            id=stable_id("v", asked.alert, asked.by, now.isoformat()), time=now, **msgspec.structs.asdict(asked)
        )
        if not self._hand_over(said):
            return 503, ["the way to Kafka is full: try again"]
        return 202, [said.id]


def _objection(asked: _Asked) -> str:
    if (asked.verdict is None) == (asked.undoes is None):
        return "give a `verdict` (true, false or benign), or `undoes` with the id of one"
    empty = [name for name in ("alert", "by", "reason") if not getattr(asked, name).strip()]
    if empty:
        return f"`{empty[0]}` says nothing"
    return "`until` needs a time zone" if asked.until is not None and asked.until.tzinfo is None else ""
