"""The queue before a sink, and how batches are joined and cut."""

from typing import Any

import msgspec
import pytest

from detector.sinks.base import Batch
from detector.sinks.pending import Pending
from tests.support.nouns import a_finding, a_rejected, an_alert, an_envelope


def findings(*numbers: int) -> Batch:
    return Batch(findings=[a_finding(number) for number in numbers])


def test_the_queue_lingers_from_its_oldest_batch() -> None:
    pending = Pending(max_items=100, max_batch=10, linger=5.0)
    assert pending.due_in(0.0) is None
    pending.put(findings(1), 100.0)
    pending.put(findings(2), 103.0)
    assert pending.due_in(103.0) == 2.0
    assert pending.due_in(105.0) == 0.0
    pending.put(findings(*range(8)), 103.0)
    assert pending.due_in(103.0) == 0.0, "a full batch waits for nothing"
    assert len(pending.take()) == 10
    assert len(pending) == 10, "taken is not durable"
    pending.settle(10)
    assert len(pending) == 0


@pytest.mark.parametrize("broken", [{"max_items": 0}, {"max_batch": 0}, {"linger": -1.0}])
def test_limits_that_make_no_sense_are_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Pending(**{"max_items": 1, "max_batch": 1, "linger": 0.0, **broken})


def test_few_large_messages_fill_the_queue_too() -> None:
    pending = Pending(max_items=100, max_batch=1, linger=0.0, max_bytes=1000)
    large = Batch(events=[(msgspec.structs.replace(an_envelope(1), raw=b"x" * 600), "scored")])
    assert pending.put(large, 0.0)
    assert not pending.put(large, 0.0)
    assert pending.put(Batch(findings=[a_finding(1)]), 0.0), "what weighs nothing fits"
    assert len(pending.take()) == 1
    assert not pending.put(large, 0.0), "what is being written counts"
    pending.settle(1)
    assert pending.put(large, 0.0)
    pending.take()
    pending.settle(1)
    pending.take()
    pending.settle(1)
    larger = Batch(events=[(msgspec.structs.replace(an_envelope(2), raw=b"x" * 9000), "scored")])
    assert pending.put(larger, 0.0), "one that is larger than the queue fits an empty one"


def test_halving_keeps_every_item_once_and_in_order() -> None:
    batch = Batch([(an_envelope(1), "scored")], [a_finding(1), a_finding(2)], [an_alert(1)], [a_rejected()])
    first, second = batch.halves()
    assert (len(first), len(second)) == (2, 3)
    assert first.items() + second.items() == batch.items()
