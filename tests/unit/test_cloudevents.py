"""The CloudEvents envelope: what it must have, what may be in it, and what it gives to the events within."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from detector.events import Event, Reject
from detector.formats import REGISTRY, registry
from detector.formats.audit import MAX_RECORDS, UNDATED
from detector.formats.parts import Part, events_of
from tests.support.audit_logs import github, okta
from tests.support.cloudevents import cloudevent, cloudevent_of_bytes, cloudevent_of_text
from tests.support.events import event
from tests.support.otel import message, protobuf, span

NATIVE = msgspec.json.encode(event(id="own"))
decode = REGISTRY["cloudevents"]


def parts(raw: bytes) -> list[Part]:
    decoded = decode(raw)
    assert isinstance(decoded, tuple), decoded
    return [part for part in decoded if isinstance(part, Part)]


def only(raw: bytes) -> Event:
    (found,) = events_of(parts(raw))
    return found


def refused(raw: bytes) -> Reject:
    decoded = decode(raw)
    assert isinstance(decoded, Reject), decoded
    assert decoded.raw == raw
    return decoded


@pytest.mark.parametrize(
    "raw",
    [cloudevent(NATIVE), cloudevent_of_text(NATIVE.decode()), cloudevent_of_bytes(NATIVE)],
    ids=["json", "text", "bytes"],
)
def test_data_comes_as_json_as_text_and_as_bytes(raw: bytes) -> None:
    (part,) = parts(raw)
    assert part.raw == raw
    assert isinstance(part.content, Event)
    assert (part.content.id, part.content.kind) == ("own", event().kind)


@pytest.mark.parametrize(
    "make", [lambda raw: cloudevent_of_text(raw.decode()), cloudevent_of_bytes], ids=["text", "bytes"]
)
def test_data_may_begin_with_a_bom(make: Callable[[bytes], bytes]) -> None:
    assert only(make(b"\xef\xbb\xbf" + NATIVE)).id == "own"


def undated(**fields: Any) -> bytes:
    return github("repo.access", created_at=None, **{"@timestamp": None, "_document_id": None}, **fields)


def test_an_event_goes_by_its_own_id_so_that_its_parent_is_found() -> None:
    spans = message(span("invoke_agent", 1), span("execute_tool", 2) | {"parentSpanId": f"{1:016x}"})
    above, below = events_of(parts(cloudevent(spans)))
    assert below.parent_id == above.id != below.id
    assert only(cloudevent(NATIVE)).id == "own"


def test_of_what_has_neither_id_nor_time_source_and_id_are_the_key_and_no_two_pairs_share_one() -> None:
    pairs = [("/a", "1"), ("/b", "1"), ("/a", "2"), ("/a%201", "2"), ("/a", "1 2"), ("/a", "|1"), ("/a#1", "")]
    keys = [only(cloudevent(undated(), source=source, id=key or "1")).id for source, key in pairs]
    assert len(set(keys)) == len(pairs)
    assert keys == [only(cloudevent(undated(), source=source, id=key or "1")).id for source, key in pairs]
    long = [only(cloudevent(undated(), id="x" * 600 + str(n))).id for n in range(2)]
    assert len(set(long)) == 2
    several = b"[%s,%s]" % (undated(), undated())
    assert [found.id for found in events_of(parts(cloudevent(several)))] == [
        "/agents/mover A-1",
        "/agents/mover|1 A-1",
    ]


def test_a_batch_of_batches_is_bounded() -> None:
    batch = cloudevent(b"[%s]" % b",".join([b"7"] * (MAX_RECORDS // 2 + 1)))
    reject = refused(b"[%s,%s]" % (batch, batch))
    assert reject.reason == "too_large"


def test_a_subject_that_says_more_than_a_name_is_not_kept() -> None:
    for subject in ("please pay Bob", "x" * 257):
        assert "ce_subject" not in only(cloudevent(NATIVE, subject=subject)).attributes


def test_a_batch_is_taken_apart_and_a_bad_one_refused_alone() -> None:
    batch = [cloudevent(NATIVE), b'{"specversion":"1.0"}', cloudevent(okta("user.session.start"), id="A-2"), b"7"]
    found = parts(b"[%s]" % b",".join(batch))
    assert [part.raw for part in found] == batch
    assert [getattr(part.content, "reason", "event") for part in found] == [
        *("event", "wrong_shape"),
        *("event", "wrong_shape"),
    ]
    assert decode(b"[]") == ()


def test_its_time_dates_what_has_none() -> None:
    found = only(cloudevent(undated(), time="2026-03-02T10:00:00+01:00"))
    assert found.time == datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert UNDATED not in found.attributes
    assert only(cloudevent(undated())).attributes[UNDATED] is True
    assert only(cloudevent(NATIVE, time="1999-01-01T00:00:00Z")).time == event().time


def test_where_it_came_from_is_kept() -> None:
    found = only(cloudevent(okta("user.session.start"), subject="tenant-7"))
    assert {name: value for name, value in found.attributes.items() if name.startswith("ce_")} == {
        "ce_source": "/agents/mover",
        "ce_id": "A-1",
        "ce_type": "example.acted",
        "ce_subject": "tenant-7",
        "ce_format": "okta",
    }


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"id": None}, "`id` is missing"),
        ({"id": ""}, "`id` is missing"),
        ({"source": None}, "`source` is missing"),
        ({"source": "a b"}, "`source` is no URI reference"),
        ({"type": None}, "`type` is missing"),
        ({"specversion": None}, "`specversion` is missing"),
        ({"specversion": "0.3"}, "version 0.3"),
        ({"specversion": 1.0}, "specversion"),
        ({"time": "noon"}, "no time"),
        ({"data_base64": "AAAA"}, "both `data` and `data_base64`"),
    ],
)
def test_what_the_specification_requires_is_checked(changes: dict[str, Any], told: str) -> None:
    reject = refused(cloudevent(NATIVE, **changes))
    assert reject.reason == "wrong_shape"
    assert told in reject.detail


def test_what_is_in_it_must_be_something_that_is_known() -> None:
    assert refused(cloudevent(b"null")).detail == "a CloudEvent without data"
    assert refused(cloudevent_of_bytes(b"", data_base64="?")).reason in {"wrong_shape", "empty"}
    assert refused(cloudevent(b'{"what":1}')).reason == "unknown_format"
    assert refused(cloudevent(cloudevent(NATIVE))).reason == "unknown_format"
    assert refused(cloudevent_of_text("hello")).reason == "not_json"


@pytest.mark.parametrize("attribute", ["type", "source", "dataschema"])
def test_an_attribute_that_names_a_format_says_what_is_wrong_with_data_that_nothing_is_known_by(attribute: str) -> None:
    reject = refused(cloudevent(b'{"actor":{"id":"a"}}', **{attribute: "com.corp.native.v1"}))
    assert reject.reason == "wrong_shape"
    assert reject.detail.startswith("in its data: native: Object missing required field")


def test_protobuf_is_told_by_its_type() -> None:
    spans = protobuf(message(span("invoke_agent")))
    assert only(cloudevent_of_bytes(spans, datacontenttype="application/x-protobuf")).actor.id == "agent-1"
    reject = refused(cloudevent_of_bytes(b"\xff", datacontenttype="application/x-protobuf; a=b"))
    assert reject.detail.startswith("in its data: otel: ")


def test_what_was_said_is_kept_only_if_it_is_to_be() -> None:
    said = cloudevent(message(span("execute_tool", **{"gen_ai.tool.call.arguments": '{"q": "the secret plan"}'})))
    assert b"secret plan" not in parts(said)[0].raw
    (kept,) = registry(keep_content=True)["cloudevents"](said)  # type: ignore[misc]
    assert isinstance(kept, Part)
    assert b"secret plan" in kept.raw
