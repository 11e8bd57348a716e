"""Which of several connections that failed is told."""

from typing import Any

import pytest
from kafka import errors
from kafka.future import Future
from kafka.net.manager import KafkaConnectionManager

from detector.kafka_open import _Manager

REFUSED = errors.KafkaConnectionError("socket disconnected")
TOO_LATE = errors.KafkaTimeoutError("SASL Authentication timed out")


class Tried:
    """A connection that came to this."""

    def __init__(self, outcome: Exception | bool | None) -> None:
        self.init_future = Future()
        if isinstance(outcome, Exception):
            self.init_future.failure(outcome)
        elif outcome is not None:
            self.init_future.success(outcome)


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> _Manager:
    monkeypatch.setattr(KafkaConnectionManager, "get_connection", lambda _, connection: connection)
    return _Manager.__new__(_Manager)  # without sockets: only what it remembers is looked at


@pytest.mark.parametrize(
    ("outcomes", "told"),
    [
        ([], None),
        ([None], None),
        ([REFUSED], REFUSED),
        ([TOO_LATE], TOO_LATE),
        ([REFUSED, TOO_LATE], REFUSED),
        ([REFUSED, TOO_LATE, TOO_LATE], REFUSED),
        ([REFUSED, None], REFUSED),
        ([TOO_LATE, REFUSED], REFUSED),
        ([REFUSED, True], None),
        ([REFUSED, True, TOO_LATE], TOO_LATE),
    ],
)
def test_the_reason_is_that_of_the_last_that_had_time(manager: _Manager, outcomes: list[Any], told: object) -> None:
    for tried in map(Tried, outcomes):
        for _ in range(2):  # asked for again while it stands
            assert manager.get_connection(tried) is tried
    assert manager.failure is told
