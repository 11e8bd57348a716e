"""Verdicts over HTTP: what is handed over, and what is answered to what is no verdict."""

import msgspec
import pytest

from detector.api import FeedbackApi
from detector.feedback import Feedback

GOOD = {"alert": "a-1", "by": "alice", "reason": "a drill", "verdict": "benign", "until": "2026-12-31T00:00:00Z"}


def test_a_verdict_is_handed_over_and_answered_with_its_id() -> None:
    handed: list[Feedback] = []

    def take(said: Feedback) -> bool:
        handed.append(said)
        return True

    api = FeedbackApi(take, lambda: 1_790_000_000.0)
    status, (said,) = api.post(msgspec.json.encode(GOOD))
    assert (status, [one.id for one in handed]) == (202, [said])
    assert msgspec.to_builtins(handed[0]) | GOOD == msgspec.to_builtins(handed[0])
    assert handed[0].time.timestamp() == 1_790_000_000.0


def test_what_can_not_be_taken_now_is_to_be_tried_again() -> None:
    assert FeedbackApi(lambda _: False, lambda: 1_790_000_000.0).post(msgspec.json.encode(GOOD))[0] == 503


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"verdict": "maybe"}, "Invalid enum value 'maybe'"),
        ({"verdict": None}, "give a `verdict`"),
        ({"undoes": "v-1"}, "give a `verdict`"),
        ({"reason": " "}, "`reason` says nothing"),
        ({"by": ""}, "length >= 1 - at `$.by`"),
        ({"until": "2026-12-31T00:00:00"}, "with a timezone component - at `$.until`"),
        ({"until": "2026-01-31T00:00:00Z"}, "is over already"),
        ({"by": "al\u200bice"}, "holds what no screen shows"),
        ({"role": "admin"}, "unknown field `role`"),
    ],
)
def test_what_is_no_verdict_is_told(change: dict[str, object], said: str) -> None:
    def nobody(_: Feedback) -> bool:
        raise AssertionError("handed over")

    status, (line,) = FeedbackApi(nobody, lambda: 1_790_000_000.0).post(msgspec.json.encode(GOOD | change))
    assert (status, said in line) == (400, True), line


@pytest.mark.parametrize("body", [b"\xff{", b'{"alert": "\xff"}', b"[" * 100_000])
def test_what_is_not_json_is_told(body: bytes) -> None:
    assert FeedbackApi(lambda _: True).post(body)[0] == 400


def test_what_is_said_again_is_the_same_verdict() -> None:
    times = iter((1_790_000_000.0, 1_790_000_060.0))
    api = FeedbackApi(lambda _: True, lambda: next(times))
    assert api.post(msgspec.json.encode(GOOD)) == api.post(msgspec.json.encode(GOOD))
