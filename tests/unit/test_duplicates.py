"""Duplicates: the same id and the same act; an id alone hides nothing."""

from typing import Any

import msgspec
import pytest

from detector.decoding import Decoder
from detector.duplicates import SeenEvents, mark_of
from detector.events import Actor, Envelope, Event, Target
from detector.formats.audit import UNDATED
from detector.scored import Scored
from detector.sources.base import Record
from tests.support import cloudtrail, ocsf
from tests.support.cloudevents import cloudevent
from tests.support.events import envelope, event
from tests.support.otel import message, pairs, tool_span
from tests.unit.test_scoring import scoring


def took(stage: Any, item: Event) -> tuple[str, str]:
    found: Scored = stage.step(envelope(item))
    return found.verdict, found.event_id


OTHERS: list[dict[str, Any]] = [
    {"actor": Actor("evil")},
    {"kind": "delete"},
    {"action": "other"},
    {"target": Target("s3://other")},
    {"time": event(1).time},
]


@pytest.mark.parametrize("change", OTHERS)
def test_another_act_under_a_known_id_is_scored_under_one_of_its_own(change: dict[str, Any]) -> None:
    stage, first = scoring(), event(0, id="x")
    other = msgspec.structs.replace(first, **change)
    assert took(stage, first) == ("scored", "")
    verdict, name = took(stage, other)
    assert verdict == "scored"
    assert name.startswith("x~")
    assert [took(stage, item)[0] for item in (first, other, first)] == ["duplicate"] * 3


def test_its_findings_bear_its_own_id() -> None:
    stage, decoder = scoring(), Decoder("cloudtrail")
    stops = [cloudtrail.message(cloudtrail.record("cloudtrail:StopLogging", {"name": name})) for name in "abc"]
    items = [decoder.decode(Record("events", 0, 0, None, raw, 1772442300.0))[0] for raw in stops]
    told = [stage.step(item) for item in items if isinstance(item, Envelope)]
    found = [finding for scored in told for finding in scored.findings]
    assert len(found) == len({finding.id for finding in found}) == 3
    assert [finding.event_id for finding in found[1:]] == [scored.event_id for scored in told[1:]]


def test_an_event_without_a_time_is_the_same_whenever_it_comes() -> None:
    first = event(0, id="x", attributes={UNDATED: True})
    assert mark_of(first) == mark_of(msgspec.structs.replace(first, time=event(9).time))


def test_a_long_id_stays_within_its_bounds() -> None:
    stage = scoring()
    took(stage, event(0, id="x" * 512))
    assert len(took(stage, event(1, id="x" * 512))[1]) == 512


def verdicts(name: str, *raws: bytes) -> list[tuple[str, str]]:
    stage, decoder = scoring(), Decoder(name)
    found: list[tuple[str, str]] = []
    for offset, raw in enumerate(raws):
        for item in decoder.decode(Record("events", 0, offset, None, raw, 1772442300.0)):
            assert isinstance(item, Envelope), item
            found.append((item.event.action, stage.step(item).verdict))
    return found


def test_a_forged_id_of_any_source_hides_nothing() -> None:
    good, evil = tool_span("read_file", 1), tool_span("delete_all", 1)
    for made, who in ((good, "good"), (evil, "evil")):
        made["attributes"] += pairs({"gen_ai.agent.id": who})
    both = [("read_file", "scored"), ("delete_all", "scored")]
    assert verdicts("otel", message(good), message(evil), message(evil)) == [*both, ("delete_all", "duplicate")]
    read, stop = (
        cloudtrail.message(cloudtrail.record(name, {"bucketName": "a", "name": "a"}))
        for name in ("s3:GetObject", "cloudtrail:StopLogging")
    )
    both = [("s3:GetObject", "scored"), ("cloudtrail:StopLogging", "scored")]
    assert verdicts("cloudevents", *(cloudevent(raw, id="7", source="/a") for raw in (read, stop))) == both
    calls = (ocsf.call("GetObject", 2, "s3.amazonaws.com"), ocsf.call("StopLogging", 3, "cloudtrail.amazonaws.com"))
    assert verdicts("ocsf", *map(msgspec.json.encode, calls)) == both


def test_what_is_remembered_survives_piece_by_piece() -> None:
    seen, twin = SeenEvents(4), SeenEvents(4)
    seen.add("a", 1)
    twin.restore(seen.snapshot())
    seen.captured()
    for step in range(12):
        for number in range(step % 6):
            seen.add(f"{step}-{number}", number + 2**63)
        twin.add_more(msgspec.msgpack.decode(msgspec.msgpack.encode(seen.more())))
        seen.captured()
        assert twin.snapshot() == seen.snapshot()


def test_what_an_earlier_release_saved_is_read_and_its_ids_are_duplicates() -> None:
    seen = SeenEvents(4)
    seen.restore([["a"], ["b"]])
    seen.add_more([0, [], ["c"]])
    assert [seen.name(name, 7) for name in "abcd"] == [None, None, None, "d"]
