"""The otel format's two encodings: each message is one of them, both mean the same, and noise is neither."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from detector.events import Event, Reject
from detector.formats.audit import MAX_BYTES
from detector.formats.otel import MOST_SPANS, decode
from detector.formats.otel.otlp_proto import is_proto
from detector.formats.parts import Decoded, Part, events_of
from tests.support.checks import must_fail
from tests.support.otel import AGENT, START, message, pairs, protobuf, span, tool_span

unhurried = settings(deadline=None)
quickly = pytest.mark.timeout(60)

TOLD = tool_span(
    "send_email",
    2,
    **{**AGENT, "tries": 3, "ratio": 0.5, "dry": False, "tags": ["a", {"b": 1.5}], "server.port": 443, "none": ""},
)
TOLD["status"] = {"code": 2, "message": "permission denied"}
TOLD["events"] = [
    {"name": "gen_ai.choice", "timeUnixNano": str(START), "attributes": pairs({"index": 0, "message": "hi"})}
]
TOLD["links"] = [{"traceId": "f" * 32, "spanId": "e" * 16}]
HTTP = span(None, 3) | {"attributes": pairs({"http.request.method": "GET"})}
GOOD = protobuf(message(span("invoke_agent"), TOLD, HTTP))


def request(raw: bytes) -> ExportTraceServiceRequest:
    made: ExportTraceServiceRequest = ExportTraceServiceRequest.FromString(raw)
    return made


def field(number: int, body: bytes) -> bytes:
    """Bytes as a field of a protobuf message."""
    size, length = len(body), b""
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + body


def refused(raw: bytes) -> Reject:
    decoded = decode(raw)
    assert isinstance(decoded, Reject), decoded
    assert decoded.raw == raw
    return decoded


def check_answer(decoded: Decoded, raw: bytes) -> None:
    """Whatever the bytes: a reject of them all, or parts, each with bytes and a reject with a reason for them."""
    if isinstance(decoded, Reject):
        assert decoded.raw == raw
        assert decoded.detail
        return
    for part in decoded:
        assert isinstance(part, Part)
        assert part.raw
        if isinstance(part.content, Reject):
            assert part.content.raw == part.raw
            assert part.content.detail
        else:
            assert msgspec.json.decode(msgspec.json.encode(part.content), type=Event) == part.content


def test_the_check_of_answers_fails_what_breaks_it() -> None:
    must_fail(lambda: check_answer(Reject("not_json", "", b"a"), b"a"))
    must_fail(lambda: check_answer((Part(Reject("not_json", "why", b"all"), b"own"),), b"all"))


def test_both_encodings_of_a_message_give_the_same_parts() -> None:
    written = message(span("invoke_agent"), TOLD, HTTP)
    parts = decode(GOOD)
    assert parts == decode(written)
    assert isinstance(parts, tuple)
    assert [event.action for event in events_of(parts)] == ["invoke_agent", "send_email"]
    assert events_of(parts)[1].outcome == "denied"


@pytest.mark.parametrize(
    "value",
    [
        {"bytesValue": "AP+A"},
        {"bytesValue": "aGk="},
        *({"doubleValue": text} for text in ("NaN", "Infinity", "-Infinity")),
    ],
)
@pytest.mark.parametrize("key", ["custom", "gen_ai.tool.call.result"])
def test_values_that_json_has_as_text_are_the_same(key: str, value: dict[str, str]) -> None:
    told = tool_span("get_x", **AGENT)
    told["attributes"] = [*(pair for pair in told["attributes"] if pair["key"] != key), {"key": key, "value": value}]
    assert decode(protobuf(message(told))) == decode(message(told))


def test_traces_data_is_the_same_message() -> None:
    assert decode(TracesData.FromString(GOOD).SerializeToString()) == decode(GOOD)


@pytest.mark.parametrize(
    ("raw", "proto"),
    [
        (GOOD, True),
        (message(TOLD), False),
        (b" \r\n\t" + message(TOLD), False),
        (b"\n" + message(TOLD), False),
        (b"\n{\n" + message(TOLD)[1:], False),
    ],
)
def test_an_encoding_is_told_by_its_bytes(raw: bytes, proto: bool) -> None:
    assert is_proto(raw) == proto
    assert isinstance(decode(raw), tuple)


def test_a_length_that_looks_like_the_start_of_json_is_a_length() -> None:
    begun = set()
    for size in range(130):
        alone = field(1, b"t" * 16) + field(2, b"s" * 8) + field(5, b"n" * size)
        raw = field(1, field(2, field(2, alone)))
        begun.add(raw[:2])
        assert is_proto(raw)
        assert decode(raw) == ()
    assert {b"\n{", b'\n"', b"\n["} <= begun


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"\n\x00\x12\x00", "holds no span"),
        (b"\n\x02\x12\x00", "holds no span"),
        (b"\n\x04\x10\x01\x10\x12", "holds no span"),
        (b"\n\x7f\x12\x00", "not OTLP protobuf: "),
        (b"\n\x12", "not OTLP protobuf: "),
    ],
)
def test_protobuf_without_a_span_is_refused(raw: bytes, why: str) -> None:
    assert refused(raw).reason == "wrong_shape"
    assert why in refused(raw).detail


@pytest.mark.parametrize("raw", [b"\x12\x00", b"\x00", b"\x08\x01", b"\xff\xff", b"\n\x00", b"\n\x01"])
def test_what_begins_like_neither_is_not_json(raw: bytes) -> None:
    assert refused(raw).reason == "not_json"


def test_a_span_without_usable_ids_is_refused_by_itself_even_of_no_agent() -> None:
    made = request(GOOD)
    made.resource_spans[0].scope_spans[0].spans[2].trace_id = b"short"
    made.resource_spans[0].scope_spans[0].spans.add()
    parts = decode(made.SerializeToString())
    assert isinstance(parts, tuple)
    assert len(events_of(parts)) == 2
    details = [part.content.detail for part in parts if isinstance(part, Part) and isinstance(part.content, Reject)]
    assert details == [
        "trace_id has 5 bytes and span_id 8; OTLP asks for 16 and 8",
        "trace_id has 0 bytes and span_id 0; OTLP asks for 16 and 8",
    ]


@pytest.mark.parametrize(("good", "bad"), [(b"send_email", b"send\xff\xfe\xfdail"), (b"permission", b"\xff" * 10)])
def test_a_span_that_is_not_utf8_spoils_no_other_and_is_read_where_it_is_json(good: bytes, bad: bytes) -> None:
    parts = decode(GOOD.replace(good, bad))
    assert isinstance(parts, tuple)
    assert [event.action for event in events_of(parts)] == ["invoke_agent"]
    (_, last) = parts
    assert isinstance(last, Part)
    assert isinstance(last.content, Reject)
    assert last.content.reason == "not_utf8"
    parts = decode(message(span("invoke_agent"), TOLD, HTTP).replace(good, bad))
    assert isinstance(parts, tuple)
    told = "send\ufffd\ufffd\ufffdail" if good == b"send_email" else "send_email"
    assert [event.action for event in events_of(parts)] == ["invoke_agent", told]


def test_fields_of_later_versions_are_passed_over() -> None:
    assert decode(GOOD + b"\xa0\x06\x01\xaa\x06\x03abc") == decode(GOOD)


def nested(depth: int) -> bytes:
    """A message whose span of an agent has lists within each other, written by hand: the library would refuse to."""
    value = b""
    for _ in range(depth):
        value = field(5, field(1, value))
    deep = field(9, field(1, b"gen_ai.deep") + field(2, value))
    return field(1, field(2, field(2, field(1, b"t" * 16) + field(2, b"s" * 8) + deep)))


@quickly
@pytest.mark.parametrize(("depth", "why"), [(33, "nests deeper than 32"), (60, "parsing"), (2000, "parsing")])
def test_depth_is_bounded(depth: int, why: str) -> None:
    parts = decode(nested(depth))
    assert isinstance(parts, tuple)
    (part,) = parts
    assert isinstance(part, Part)
    assert isinstance(part.content, Reject)
    assert part.content.reason == "wrong_shape"
    assert why in part.content.detail


@quickly
@pytest.mark.parametrize("depth", [33, 150, 250, 1000, 20_000])
@pytest.mark.parametrize("key", ["gen_ai.deep", "gen_ai.prompt"])
@pytest.mark.parametrize("keep", [False, True])
def test_depth_of_json_is_bounded(depth: int, key: str, keep: bool) -> None:
    value = b'{"arrayValue":{"values":[' * depth + b"]}}" * depth
    raw = message(span("chat", **{key: "DEEP"}), span("chat", 2)).replace(b'{"stringValue":"DEEP"}', value)
    decoded = decode(raw, keep_content=keep)
    check_answer(decoded, raw)
    if isinstance(decoded, tuple):
        assert [type(part.content) for part in decoded if isinstance(part, Part)] == [Event, Reject]
    else:
        assert decoded.reason == "not_json"


@quickly
def test_size_is_bounded() -> None:
    assert refused(field(1, b"\x12" * MAX_BYTES)).reason == "too_large"
    assert refused(b"\n\x12" + b"x" * 10_000_000).reason == "too_large"
    assert refused(field(1, field(2, field(2, b"") * (MOST_SPANS + 1)))).reason == "too_large"


@quickly
def test_what_many_spans_share_is_not_multiplied() -> None:
    wide = {f"k{number}": "x" * 200 for number in range(2000)}
    parts = decode(protobuf(message(*(span("chat", number) for number in range(1, 200)), resource=wide)))
    assert isinstance(parts, tuple)
    assert all(isinstance(part, Part) and len(part.raw) < 2000 for part in parts)


@unhurried
@given(st.binary(max_size=300), st.booleans())
def test_arbitrary_protobuf_is_answered(noise: bytes, framed: bool) -> None:
    raw = field(1, field(2, field(2, noise))) if framed else b"\n\x12" + noise
    check_answer(decode(raw), raw)


@unhurried
@given(st.integers(0, len(GOOD) - 1))
def test_a_message_cut_off_anywhere_is_refused(cut: int) -> None:
    assert refused(GOOD[:cut]).reason in {"empty", "not_json", "wrong_shape"}


@unhurried
@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=5), st.booleans())
def test_a_message_with_bytes_changed_is_answered(changes: list[tuple[int, int]], keep: bool) -> None:
    raw = bytearray(GOOD)
    for place, value in changes:
        raw[place] = value
    check_answer(decode(bytes(raw), keep_content=keep), bytes(raw))


scalars = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=300)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
keys = st.sampled_from(
    ["gen_ai.operation.name", "gen_ai.tool.name", "gen_ai.tool.call.arguments", "gen_ai.input.messages", "error.type"]
) | st.text(max_size=12)


@unhurried
@given(st.dictionaries(keys, values, max_size=8), st.dictionaries(st.text(max_size=8), values, max_size=2))
def test_whatever_the_attributes_both_encodings_mean_the_same(
    attributes: dict[str, Any], resource: dict[str, Any]
) -> None:
    told = span("execute_tool") | {"attributes": pairs({**AGENT, **attributes})}
    written = message(told, resource=resource)
    decoded = decode(written)
    assert decode(protobuf(written)) == decoded
    check_answer(decoded, written)
