"""The benchmark measures what it says: every format, and messages that are understood."""

import pytest

from detector.formats import REGISTRY
from detector.formats.parts import events_of
from tests.bench.decoding import Cost, table
from tests.bench.typical import Typical, messages

TYPICAL = messages()


def test_every_format_has_its_typical_message() -> None:
    assert {name.partition(" ")[0] for name in TYPICAL} == set(REGISTRY)


@pytest.mark.parametrize(("name", "typical"), TYPICAL.items())
def test_a_typical_message_is_understood_whole(name: str, typical: Typical) -> None:
    for raw in typical.raws:
        decoded = REGISTRY[name.partition(" ")[0]](raw)
        assert isinstance(decoded, tuple), decoded
        events = events_of(decoded)
        assert len(events) == typical.records
        assert all(event.actor.id for event in events)


def test_the_table_has_a_line_for_each() -> None:
    assert table([Cost("native", 600, 1.25, 1.0, 2.0, 1.5)]).splitlines()[2:] == [
        "| native | 600 | 1.2 | 1.0 to 2.0 | 1.5 |"
    ]
