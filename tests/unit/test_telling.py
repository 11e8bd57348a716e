"""What a scoring process tells correlation: its findings, and which minute is past."""

from collections.abc import Sequence

import pytest

from detector.signals import Sent
from detector.telling import Telling
from detector.ticks import Tick, Ticker
from tests.support.correlating import at, finding

MINE, OTHERS = ("events", 0), ("events", 1)
START = at(0)


def told(telling: Telling, seconds: float) -> list[float | str]:
    """What is told of a finding: seconds that are past, and detectors, in order."""
    time = START + seconds
    telling.bring(MINE, time)
    return shown(telling.tell(MINE, time, [finding(seconds)]))


def shown(sent: Sequence[Sent]) -> list[float | str]:
    return [one.signal.time - START if isinstance(one.signal, Tick) else one.signal.detector for one in sent]


@pytest.fixture
def beside() -> Telling:
    """A process with one of two partitions, for which no finding is worth a tick of its own."""
    telling = Telling(Ticker(0.0))
    telling.open(MINE, [])
    telling.overhear({MINE, OTHERS})
    return telling


def test_beside_others_the_minute_that_is_past_is_told_before_a_finding_and_once(beside: Telling) -> None:
    assert told(beside, 125.0) == [120.0, "new_endpoint"]
    assert told(beside, 130.0) == ["new_endpoint"]
    assert told(beside, 179.9) == ["new_endpoint"]
    assert told(beside, 180.0) == [180.0, "new_endpoint"]


def test_with_new_partitions_it_is_told_anew(beside: Telling) -> None:
    assert told(beside, 125.0) == [120.0, "new_endpoint"]
    beside.open(MINE, [])
    assert told(beside, 130.0) == [120.0, "new_endpoint"]


def test_alone_time_is_told_as_it_passes_and_no_finding_needs_it() -> None:
    telling = Telling(Ticker(60.0))
    telling.open(MINE, [])
    telling.overhear({MINE})
    assert told(telling, 125.0) == ["new_endpoint"]
    telling.bring(MINE, START + 181.0)
    assert shown(telling.tell(MINE, START + 181.0, [])) == [180.0]
