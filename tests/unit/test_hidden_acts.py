"""What a caller may choose must neither hide its own act nor that of another in the same message."""

import json
from typing import Any

import pytest

from detector.events import Event, Reject
from detector.formats import REGISTRY
from detector.formats.audit import MAX_RECORDS
from detector.formats.parts import Decoded, Part
from detector.formats.repair import MOST_DEPTH
from tests.support import audit_logs, cloudtrail, kubernetes, ocsf
from tests.support.cloudevents import cloudevent
from tests.support.otel import any_value, message, pairs, protobuf, span, tool_span

MARK = "chosen-by-the-caller"
TEXTS = ("[" * 1000, "{" * 300, '[{"a":' * 200, '{"', "\\", '\\"', "\x00\x1b", "\u202e", "{}{}", "a" * 1024, "0x", "%s")
BYTES = (b"\\ud83d", b"\\udc00", b"\\ud83d\\ud83d", b"\xff", b"\xed\xa0\xbd", b"\\\\ud83d")

TRAIL = cloudtrail.record("s3:DeleteObject", {"bucketName": "hr", "key": MARK})
TOLD: dict[str, Any] = {"gen_ai.tool.call.arguments": MARK, "gen_ai.tool.call.result": MARK}
SPAN = tool_span("delete_x", 1, **TOLD)
AWS = ocsf.call("DeleteObject", 4, "s3.amazonaws.com", unmapped={"requestParameters.key": MARK, "requestParameters": 1})
CHOSEN: dict[str, list[bytes]] = {
    "cloudtrail": [json.dumps({"Records": [TRAIL, cloudtrail.record("s3:GetObject")]}).encode()],
    "gcp_audit": [
        audit_logs.gcp("storage.objects.delete", "storage", resourceName=f"projects/_/buckets/b/objects/{MARK}")
    ],
    "github": [audit_logs.github("repo.destroy", repo=MARK, data={"a": MARK})],
    "kubernetes": [
        json.dumps(kubernetes.audited("patch", "pods", {"metadata": {"labels": {"a": MARK}}}, userAgent=MARK)).encode()
    ],
    "native": [
        b'{"id":"e","time":"2026-03-02T09:00:00Z","actor":{"id":"a"},"kind":"access","attributes":{"a":"%b"}}'
        % MARK.encode()
    ],
    "ocsf": [
        json.dumps([AWS, ocsf.record(6003, 1)]).encode(),
        json.dumps(ocsf.call("export", 2, resources=[{"name": MARK}], http_request={"user_agent": MARK})).encode(),
    ],
    "okta": [audit_logs.okta("user.session.start", debugContext={"debugData": {"behaviors": MARK}})],
    "otel": [message(SPAN, tool_span("get_x", 2), resource={"service.name": "s", "note": MARK})],
}
CHOSEN["cloudevents"] = [cloudevent(CHOSEN["cloudtrail"][0], subject=MARK, type=MARK)]
CHOSEN["auto"] = [raw for name, each in CHOSEN.items() if name != "native" for raw in each]


def contents(decoded: Decoded) -> list[Event | Reject]:
    if isinstance(decoded, Reject):
        return [decoded]
    return [item.content if isinstance(item, Part) else item for item in decoded]


def read(name: str, raw: bytes) -> list[str]:
    """The actions of the events, the reasons of what is refused."""
    return [item.action if isinstance(item, Event) else item.reason for item in contents(REGISTRY[name](raw))]


def test_every_format_is_asked() -> None:
    assert CHOSEN.keys() == REGISTRY.keys()


@pytest.mark.parametrize("name", REGISTRY)
def test_no_text_that_a_caller_chose_refuses_its_event(name: str) -> None:
    for raw in CHOSEN[name]:
        assert MARK.encode() in raw
        as_it_was = contents(REGISTRY[name](raw))
        assert all(isinstance(item, Event) for item in as_it_was)
        chosen = [json.dumps(text)[1:-1].encode() for text in TEXTS]
        for text in (*chosen, *BYTES):
            found = contents(REGISTRY[name](raw.replace(MARK.encode(), text)))
            assert [type(item) for item in found] == [Event] * len(as_it_was), (text, found)


@pytest.mark.parametrize("depth", [MOST_DEPTH - 1, MOST_DEPTH + 1, 900, 1100, 9000])
def test_a_value_that_nests_too_deeply_hides_no_other_record(depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    raw = CHOSEN["cloudtrail"][0].replace(b'"%b"' % MARK.encode(), deep)
    for name in ("cloudtrail", "auto"):
        assert read(name, raw) == ["s3:DeleteObject", "s3:GetObject"]
    nested = b'{"arrayValue":{"values":[' * depth + b"]}}" * depth
    raw = CHOSEN["otel"][0].replace(b'{"stringValue":"%b"}' % MARK.encode(), nested)
    for name in ("otel", "auto"):
        assert "get_x" in read(name, raw)


def spans(second: dict[str, Any]) -> bytes:
    """Two resources, one span each; of the second this."""
    first = json.loads(message(tool_span("get_x", 1)))["resourceSpans"]
    return json.dumps({"resourceSpans": [*first, second]}).encode()


def nested(depth: int) -> dict[str, Any]:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return any_value(value)


ODD: list[dict[str, Any]] = [{"key": "k", "value": nested(40)}, {"key": "k", "value": {"stringValue": 5}}, {"key": 5}]


@pytest.mark.parametrize("odd", ODD)
def test_an_attribute_of_a_resource_that_cant_be_read_hides_no_span_and_no_other_attribute(odd: dict[str, Any]) -> None:
    own = json.loads(message(tool_span("rm", 2)))["resourceSpans"][0]["scopeSpans"]
    second = {"resource": {"attributes": [odd, *pairs({"service.name": "svc"})]}, "scopeSpans": own}
    found = contents(REGISTRY["otel"](spans(second)))
    events = [item for item in found if isinstance(item, Event)]
    assert [event.action for event in events] == ["get_x", "rm"]
    assert [event.attributes.get("resource_incomplete") for event in events] == [None, True]
    assert events[1].attributes["service.name"] == "svc"


@pytest.mark.parametrize("second", [{"scopeSpans": [{"spans": {}}]}, {"scopeSpans": 5}, {"scopeSpans": [5]}])
def test_what_is_no_otlp_is_refused_alone(second: dict[str, Any]) -> None:
    assert read("otel", spans(second)) == ["get_x", "wrong_shape"]


def test_a_resource_of_protobuf_that_is_not_utf8_hides_nothing() -> None:
    two = json.loads(
        spans(json.loads(message(tool_span("rm", 2), resource={"a": "prod", "service.name": "s"}))["resourceSpans"][0])
    )
    raw = protobuf(json.dumps(two).encode()).replace(b"prod", b"pr\xffd")
    found = [item for item in contents(REGISTRY["otel"](raw)) if isinstance(item, Event)]
    assert [event.action for event in found] == ["get_x", "rm"]
    assert found[1].attributes["service.name"] == "s"
    deep = {"resource": {"attributes": [ODD[0]]}, "scopeSpans": []}
    assert read("otel", protobuf(spans(deep))) == ["get_x"]


@pytest.mark.parametrize(
    ("attributes", "action"),
    [
        ({"gen_ai.operation.name": "tools/call", "mcp.method.name": "tools/call", "gen_ai.tool.name": "rm"}, "rm"),
        ({"gen_ai.operation.name": "execute_tool", "mcp.method.name": "execute_tool", "gen_ai.tool.name": "rm"}, "rm"),
        ({"gen_ai.operation.name": "tools/list", "mcp.method.name": "tools/call"}, "execute_tool"),
        ({"mcp.method.name": "tools/call"}, "execute_tool"),
        ({"mcp.method.name": "tools/list", "gen_ai.tool.name": "rm"}, "rm"),
        ({"gen_ai.operation.name": "ping", "mcp.tool.name": "rm"}, "rm"),
        ({"mcp.method.name": "tools/erase"}, "tools/erase"),
        ({"gen_ai.operation.name": ["execute_tool"], "gen_ai.tool.name": ["rm"]}, "wrong_shape"),
        ({"gen_ai.operation.name": True}, "wrong_shape"),
        ({"mcp.method.name": {"a": "b"}}, "wrong_shape"),
    ],
)
def test_an_act_is_an_event_or_counted(attributes: dict[str, Any], action: str) -> None:
    assert read("otel", message(span(None, 1, **attributes))) == [action]


@pytest.mark.parametrize("method", ["initialize", "ping", "tools/list", "notifications/cancelled"])
def test_what_is_nobodys_act_is_passed_over(method: str) -> None:
    assert read("otel", message(span(None, 1, **{"mcp.method.name": method}))) == []
    assert read("otel", message(span(method, 1, **{"mcp.method.name": method}))) == []


def test_what_was_done_is_not_said_twice() -> None:
    told = tool_span("rm", 1)
    again = pairs({"gen_ai.operation.name": "execute_tool", "note": "a"}) + pairs({"note": "b"})
    assert read("otel", message(told | {"attributes": told["attributes"] + again})) == ["rm"]
    for other in ({"gen_ai.operation.name": "tools/list"}, {"gen_ai.tool.name": ""}):
        assert read("otel", message(told | {"attributes": told["attributes"] + pairs(other)})) == ["wrong_shape"]


def test_spans_are_read_wherever_they_stand() -> None:
    made = json.loads(message(tool_span("rm", 1)))
    own = made["resourceSpans"][0]
    for raw in ({"resourceSpans": [], **own}, {**made, "resource_spans": []}, {"resource_spans": [], **made}):
        assert read("auto", json.dumps(raw).encode()) == ["rm"]


@pytest.mark.parametrize("between", [b"\n", b"", b" ", b"\r\n\r\n"])
def test_several_values_in_one_message_are_read(between: bytes) -> None:
    trail, spoiled = json.dumps(TRAIL).encode(), json.dumps(TRAIL).encode().replace(MARK.encode(), b"\\ud83d")
    for raw in (
        between.join([trail, trail]),
        between.join([spoiled, trail]),
        b"\xef\xbb\xbf" + trail + between + trail,
    ):
        assert read("auto", raw) == read("cloudtrail", raw) == ["s3:DeleteObject"] * 2
    assert read("auto", b"\xef\xbb\xbf" + trail) == ["s3:DeleteObject"]
    assert read("otel", between.join([message(SPAN)] * 3)) == ["delete_x"] * 3


def test_capitals_hide_no_act_of_an_agent() -> None:
    told = {pair["key"]: pair["value"] for pair in SPAN["attributes"]}
    for way in (str.upper, str.title):
        loud = SPAN | {"attributes": [{"key": way(key), "value": value} for key, value in told.items()]}
        one = SPAN | {
            "attributes": [*SPAN["attributes"], {"key": way("gen_ai.tool.name"), "value": any_value("get_x")}]
        }
        for name in ("otel", "auto"):
            assert read(name, message(loud)) == ["delete_x"]
            assert read(name, message(one)) == ["wrong_shape"], "two values of what was done"


def test_no_time_of_a_spans_event_stops_the_reading() -> None:
    for odd in ([1], {"a": 1}, True, 1.5, None, "x"):
        raw = message(SPAN | {"events": [{"name": "exception", "timeUnixNano": odd, "attributes": []}]})
        assert read("otel", raw) == ["delete_x"]


def test_a_line_that_is_no_json_hides_no_other() -> None:
    trail = json.dumps(TRAIL).encode()
    assert read("auto", b"\n".join([trail, b'{"a', trail, b"]", trail])) == [
        *("s3:DeleteObject", "not_json", "s3:DeleteObject", "not_json", "s3:DeleteObject"),
    ]
    assert read("auto", b"{}" * (MAX_RECORDS + 1)) == ["too_large"]
    pretty = json.dumps([TRAIL, TRAIL], indent=1).encode()
    assert read("auto", pretty[:-20]) == ["not_json"], "cut off: refused once, and not by the line"


@pytest.mark.parametrize(
    "odd",
    [
        {"status_code": 4.5},
        {"resources": [{"name": "a", "is_public": "perhaps"}]},
        {"privileges": [{"name": "admin"}]},
        {"observables": [{"name": "a", "value": True}] * 20},
        {"enrichments": [{"name": "a", "value": {"b": 1}}]},
        {"expiration_time": "1772442000000"},
        {"cloud": ["a"]},
        {"http_request": {"user_agent": 7}},
        {"policy": []},
        {"class_uid": "6003"},
        {"time": "1772442000000"},
        {"time": "2026-03-02T09:00:00Z"},
    ],
)
def test_an_odd_attribute_of_ocsf_refuses_no_event(odd: dict[str, Any]) -> None:
    (event,) = contents(REGISTRY["ocsf"](json.dumps(ocsf.call("export", 2) | odd).encode()))
    assert isinstance(event, Event)
    assert event.action == "export"
    assert event.time.timestamp() // 1 == 1772442000
    assert ("unread" in event.attributes) is any(
        name in odd for name in ("resources", "cloud", "http_request", "policy")
    )


@pytest.mark.parametrize("odd", [{"class_uid": []}, {"time": {}}, {"actor": "root"}, {"api": 7}])
def test_what_ocsf_can_not_do_without_is_asked_for(odd: dict[str, Any]) -> None:
    assert read("ocsf", json.dumps(ocsf.call("export", 2) | odd).encode()) == ["wrong_shape"]
