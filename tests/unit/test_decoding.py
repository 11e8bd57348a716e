"""From a record to its envelopes and rejects: each in its place, with its own bytes, its format, and what is known."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from detector import assembly
from detector.config import Config, Content, Source
from detector.config_file import parse
from detector.decoding import Decoder, DecoderByTopic
from detector.events import Envelope, Event, Rejected
from detector.labels import LabelSettings, PrincipalLabel
from detector.sources.base import Record
from tests.support.audit_logs import github, okta
from tests.support.cloudevents import cloudevent
from tests.support.cloudtrail import record as trail
from tests.support.events import event
from tests.support.otel import message, span
from tests.support.score_stage import stage_of

NATIVE = msgspec.json.encode(event())


def read(raw: bytes, topic: str = "events") -> Record:
    return Record(topic, 3, 7, None, raw, 1_772_442_000.0)


def test_a_message_is_taken_apart_each_record_in_its_place_with_its_own_bytes() -> None:
    records = [msgspec.json.encode(made) for made in (trail("s3:GetObject"), {}, trail("s3:DeleteBucket"))]
    found = Decoder("cloudtrail").decode(read(b'{"Records":[%s]}' % b",".join(records)))
    assert [type(item) for item in found] == [Envelope, Rejected, Envelope]
    assert [item.index for item in found] == [0, 1, 2]
    assert [item.reject.raw if isinstance(item, Rejected) else item.raw for item in found] == records
    assert {(item.topic, item.partition, item.offset, item.received_at) for item in found} == {
        ("events", 3, 7, 1_772_442_000.0)
    }


def test_a_message_refused_whole_is_one_reject_and_one_of_nothing_is_none() -> None:
    (rejected,) = Decoder("cloudtrail").decode(read(b"no"))
    assert isinstance(rejected, Rejected)
    assert (rejected.index, rejected.reject.raw) == (0, b"no")
    assert Decoder("cloudtrail").decode(read(b'{"Records": []}')) == []


def test_the_format_is_that_of_the_topic_or_what_was_recognised() -> None:
    for name, wanted in (("native", "native"), ("auto", "native")):
        (found,) = Decoder(name).decode(read(NATIVE))
        assert isinstance(found, Envelope)
        assert (found.format, found.raw, found.event) == (wanted, NATIVE, event())


def test_what_has_no_time_happened_when_it_arrived() -> None:
    for name in ("github", "auto"):
        (found,) = Decoder(name).decode(read(github("repo.access", sender={}, repository={}, **{"@timestamp": None})))
        assert isinstance(found, Envelope)
        assert found.event.time == datetime(2026, 3, 2, 9, tzinfo=UTC)


def test_each_topic_has_its_decoder() -> None:
    decoders = DecoderByTopic({"a": Decoder("native"), "b": Decoder("okta")})
    ((one,), (other,)) = (decoders.decode(read(raw, at)) for raw, at in ((NATIVE, "a"), (okta("x"), "b")))
    assert isinstance(one, Envelope)
    assert isinstance(other, Envelope)
    assert (one.format, other.format) == ("native", "okta")
    (refused,) = decoders.decode(read(NATIVE, "b"))
    assert isinstance(refused, Rejected)


def test_the_configuration_says_what_is_read_and_what_is_known() -> None:
    config = Config(
        sources=(Source(topic="a", format="okta"), Source(topic="b", format="auto")),
        labels=LabelSettings(principals=(PrincipalLabel(match=("ann@*",), role="admin"),)),
    )
    assert [(source.topic, source.format) for source in config.read] == [("a", "okta"), ("b", "auto")]
    for topic in ("a", "b"):
        (found,) = assembly.decoder_by_topic(config).decode(read(okta("x"), topic))
        assert isinstance(found, Envelope)
        assert found.event.actor.role == "admin"
    default = parse("format: auto\nkafka: {topics: {events: acts}}\n", "a.yaml")
    assert [(source.topic, source.format) for source in default.read] == [("acts", "auto")]


def mixed(offset: int) -> bytes:
    """Two events around one that nobody can read."""
    made: list[Event] = [event(offset + place, id=f"e-{offset}-{place}") for place in (0.1, 0.2)]
    first, last = map(msgspec.json.encode, made)
    return b'[%s, {"what": 1}, %s]' % (first, last)


@pytest.mark.parametrize("resumed", [False, True])
def test_the_stage_scores_what_it_can_and_writes_no_part_twice(tmp_path: Path, *, resumed: bool) -> None:
    partition = ("events", 0)
    stored = {(0, 0): "e-0-0.1", (0, 1): ""} if resumed else {}
    stage = stage_of(tmp_path, stored=lambda *_: stored, decoder=Decoder("auto"))
    stage.open(partition, ())
    stage.opened([(partition, 0)])
    batch = stage.take({partition: [Record(*partition, n, None, mixed(n), 2e9) for n in range(2)]}, {partition})
    every = [(0, 0), (0, 2), (1, 0), (1, 2)]
    assert [(e.offset, e.index) for e, _ in batch.events] == (every[1:] if resumed else every)
    assert [(r.offset, r.index) for r in batch.rejects] == ([(1, 1)] if resumed else [(0, 1), (1, 1)])
    assert {r.reject.reason for r in batch.rejects} == {"unknown_format"}
    assert stage.positions[partition] == 2


@pytest.mark.parametrize("name", ["otel", "auto", "cloudevents"])
def test_what_was_said_is_kept_only_if_the_configuration_says_so(name: str) -> None:
    spans = message(span("execute_tool", **{"gen_ai.tool.call.arguments": '{"q": "the secret plan"}'}))
    raw = cloudevent(spans) if name == "cloudevents" else spans
    for keep in (False, True):
        (found,) = assembly.decoder(Config(content=Content(keep=keep)), name).decode(read(raw))
        assert isinstance(found, Envelope)
        assert (b"the secret plan" in found.raw) is keep
