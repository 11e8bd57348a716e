"""The benchmark measures what it says: every format, and messages that are understood."""

import pytest

from detector.formats import REGISTRY
from detector.formats.parts import events_of
from tests.bench import history
from tests.bench.decoding import Cost, table
from tests.bench.typical import Typical, messages

TYPICAL = messages()


def test_every_format_has_its_typical_message() -> None:
    assert {name.partition(" ")[0] for name in TYPICAL} == set(REGISTRY)


@pytest.mark.parametrize(("name", "typical"), TYPICAL.items())
def test_a_typical_message_is_understood_whole(name: str, typical: Typical) -> None:
    for raw in typical.raws[:50]:
        decoded = REGISTRY[name.partition(" ")[0]](raw)
        assert isinstance(decoded, tuple), decoded
        events = events_of(decoded)
        assert len(events) == typical.records
        assert all(event.actor.id for event in events)


def test_the_table_has_a_line_for_each() -> None:
    assert table([Cost("native", 600, 1.25, 1.0, 2.0, 1.5)]).splitlines()[2:] == [
        "| native | 600 | 1.2 | 1.0 to 2.0 | 1.5 |"
    ]


def test_no_cache_could_hold_what_is_said_in_the_messages() -> None:
    for name in ("otel (small)", "otel (median)", "otel (large)", "otel (contents)"):
        raws = TYPICAL[name].raws
        assert len(set(raws)) == len(raws)
        assert len(raws) * TYPICAL[name].records >= 4000


@pytest.mark.parametrize(("name", "kilobytes"), [("small", (1.1, 1.3)), ("median", (1.3, 1.45)), ("large", (2.6, 2.9))])
def test_spans_with_contents_have_the_sizes_of_real_ones(name: str, kilobytes: tuple[float, float]) -> None:
    sizes = sorted(map(len, TYPICAL[f"otel ({name})"].raws))
    assert kilobytes[0] <= sizes[len(sizes) // 2] / 1000 <= kilobytes[1]


def test_a_backtest_is_told_beside_the_replay() -> None:
    found = history.History(1_000_000, history.Spent(100.0, 90.0), history.Spent(120.0, 198.0), 1.1, 0.6, 2)
    *_, replayed, tried, ratio, _, told = history.table(found).splitlines()
    assert replayed == "| `detector replay` | 90.0 | 100.0 |"
    assert tried == "| `detector backtest`, 2 configurations | 198.0 | 120.0 |"
    assert ratio.endswith("| 1.10 | 0.60 |")
    assert "medians of 2 rounds" in told
