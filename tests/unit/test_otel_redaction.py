"""What the otel format keeps of a span as evidence: no word of what was said, and proof of which words they were."""

import hashlib
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.events import Event, Reject
from detector.formats.otel import decode
from detector.formats.otel.contents import is_content
from detector.formats.parts import Part
from tests.support.otel import AGENT, any_value, message, pairs, protobuf, span, tool_span

unhurried = settings(deadline=None)

XYZZY = "xyzzy-plugh"
LONG = "word " * 60
encodings = pytest.mark.parametrize("encoded", [bytes, protobuf], ids=["json", "protobuf"])

# Where the GenAI and MCP conventions of today, those before, and well-known instrumentations put content.
SAID = [
    "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result", "gen_ai.tool.definitions", "gen_ai.prompt", "gen_ai.completion",
    "gen_ai.prompt.0.content", "gen_ai.completion.0.tool_calls.0.arguments", "gen_ai.retrieval.documents",
    "gen_ai.retrieval.query.text", "gen_ai.evaluation.explanation", "gen_ai.event.content", "mcp.request.argument.name",
    "mcp.request.params", "mcp.response.result", "db.query.text", "db.statement", "db.query.parameter.user_id",
    "http.request.header.authorization", "url.full", "url.query", "exception.message", "exception.stacktrace",
    "traceloop.entity.input", "traceloop.entity.output", "input.value", "llm.input_messages.0.message.content",
    "llm.prompts", "retrieval.documents.0.document.content", "tool.parameters", "ai.prompt.messages",
    "ai.response.text", "ai.toolCall.args", "ai.toolCall.result", "ai.response.toolCalls", "process.command_args",
    "gen_ai.agent.description", "gen_ai.tool.description", "user.password", "api_key", "authorization", "access_token",
    "gen_ai.prompt.token", "email.subject", "userprompt", "systemprompt", "toolargs", "user_utterance", "memory",
    "note", "reply", "sql", "command", "gen_ai.tool.command", "crewai.task.goal", "url.path", "env.SECRET", "token",
    "k8s.pod.annotation.note", "container.command_line", "gen_ai.request.stop_sequences", "tags", "", "gen_ai.agent",
]  # fmt: skip
ABOUT = [
    "gen_ai.operation.name", "gen_ai.agent.id", "gen_ai.conversation.id", "k8s.pod.name", "otel.status_code",
    "gen_ai.tool.name", "gen_ai.tool.call.id", "host.name", "gen_ai.prompt.name", "gen_ai.prompt.0.role",
    "gen_ai.output.type", "gen_ai.request.model", "gen_ai.response.id", "gen_ai.response.finish_reasons",
    "gen_ai.usage.input_tokens", "gen_ai.completion.0.finish_reason", "gen_ai.data_source.id", "mcp.method.name",
    "mcp.resource.uri", "mcp.session.id", "db.query.summary", "error.type", "server.address", "http.request.body.size",
    "http.response.status_code", "service.name", "enduser.id", "user_agent.original",
]  # fmt: skip


def parts(raw: bytes, *, keep: bool = False) -> list[Part]:
    decoded = decode(raw, keep_content=keep)
    assert isinstance(decoded, tuple), decoded
    return [part for part in decoded if isinstance(part, Part)]


def kept(raw: bytes) -> dict[str, Any]:
    """The attributes in the record of a message's only span, by key."""
    (part,) = parts(raw)
    (resource,) = msgspec.json.decode(part.raw)["resourceSpans"]
    return {pair["key"]: pair["value"] for pair in resource["scopeSpans"][0]["spans"][0]["attributes"]}


def proof(original: bytes) -> dict[str, Any]:
    return {"redacted": {"bytes": len(original), "sha256": hashlib.sha256(original).hexdigest()}}


def test_keys_of_content_are_known_and_others_are_not() -> None:
    assert [key for key in SAID if not is_content(key)] == []
    assert [key for key in ABOUT if is_content(key)] == []


def full_of(secret: str) -> dict[str, Any]:
    """A span with a secret wherever people, models and tools say things."""
    said = dict.fromkeys(SAID, secret)
    lists = {"gen_ai.input.messages": [{"role": "user", "content": secret}], "custom": {"deep": [secret]}}
    told = tool_span("send_email", 1, **{**AGENT, **said, **lists, "long": LONG + secret, "k" * 300 + secret: "v"})
    event = {"name": "gen_ai.user.message", "attributes": pairs({"content": secret, "long": secret + LONG})}
    loud = {"name": secret + LONG, "attributes": pairs({"gen_ai.completion": [secret], "gen_ai.tool.call.id": "c"})}
    told["events"] = [event, loud]
    told["links"] = [{"traceId": "f" * 32, "spanId": "e" * 16, "attributes": pairs({"prompt": secret})}]
    return told | {"status": {"code": 2, "message": f"could not send {secret}"}, "name": LONG + secret}


@encodings
def test_no_word_of_what_was_said_is_kept(encoded: Any) -> None:
    resource = {"service.name": "svc", "process.command_args": ["agent", XYZZY], "about": {"x": XYZZY}}
    told = full_of(XYZZY)
    nobodys = {"attributes": pairs({"gen_ai.tool.call.result": XYZZY, "gen_ai.operation.name": "chat"})}
    timeless = told | {"startTimeUnixNano": "0", "endTimeUnixNano": "0", "spanId": "a" * 16}
    raw = encoded(message(told, timeless, told | nobodys | {"spanId": "b" * 16}, resource=resource))
    assert XYZZY.encode() in raw
    found = parts(raw)
    assert [type(part.content) for part in found] == [Reject, Event, Event]
    for part in found:
        assert XYZZY.encode() not in part.raw
        assert not isinstance(part.content, Reject) or XYZZY.encode() not in part.content.raw
        if isinstance(part.content, Event):  # a result of one word is an entity, the name of something
            assert XYZZY not in str(msgspec.structs.replace(part.content, content=None))
    assert all(XYZZY.encode() in part.raw for part in parts(raw, keep=True))


def test_fields_that_otlp_does_not_have_are_not_kept() -> None:
    odd = {"prompt": XYZZY, "kind": {"a": XYZZY}, "flags": [XYZZY], "droppedAttributesCount": XYZZY * 30}
    told = span("chat") | odd
    told["attributes"].append({"key": "a", "value": {"stringValue": "b", "bytesValue": XYZZY, "c": XYZZY}})
    found = kept(message(told))
    assert found.keys() == {"gen_ai.operation.name", *AGENT, "a"}
    assert found["a"] == proof(b"b")
    assert XYZZY.encode() not in parts(message(told))[0].raw


def test_a_field_that_is_repeated_hides_nothing() -> None:
    first = b'"attributes":[{"key":"x","value":{"stringValue":"%b"}}],"attributes":' % XYZZY.encode()
    raw = message(span("chat"), resource={}).replace(b'"attributes":', first)
    assert raw.count(XYZZY.encode()) == 2
    assert XYZZY.encode() not in parts(raw)[0].raw


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"attributes": {"prompt": XYZZY}}, "wrong_shape"),
        ({"status": XYZZY}, "wrong_shape"),
        ({"spanId": XYZZY}, "wrong_shape"),
        ({"startTimeUnixNano": XYZZY}, "wrong_shape"),
        ({"parentSpanId": 3}, "wrong_shape"),
    ],
)
def test_a_bad_span_is_refused_by_itself_and_without_its_content(changes: dict[str, Any], reason: str) -> None:
    bad = tool_span("x", 2, **{**AGENT, "gen_ai.tool.call.result": f"ab{XYZZY}"}) | changes
    raw = message(tool_span("get_x", 1, **AGENT), bad, tool_span("get_y", 3, **AGENT))
    good, other, refused = parts(raw)
    assert [part.content.action for part in (good, other) if isinstance(part.content, Event)] == ["get_x", "get_y"]
    assert isinstance(refused.content, Reject)
    assert refused.content.reason == reason
    assert refused.content.raw == refused.raw
    assert f"ab{XYZZY}".encode() not in refused.raw
    assert b"5b8efff798038103d269b633813fc60c" in refused.raw
    assert b"service.name" in refused.raw
    assert XYZZY.encode() in parts(raw, keep=True)[2].raw


@encodings
def test_the_hash_is_of_the_words_that_were_there(encoded: Any) -> None:
    told = {"to": "ann@corp.example", "n": 1}
    found = kept(
        encoded(
            message(
                tool_span(
                    "send_email",
                    **{**AGENT, "gen_ai.tool.call.arguments": '{"a": "ä"}', "gen_ai.tool.call.result": told,
                       "gen_ai.input.messages": [{"role": "user"}, 2, 0.5],
                       "gen_ai.response.finish_reasons": ["a", "b"]},
                )
            )
        )
    )  # fmt: skip
    assert found["gen_ai.tool.call.arguments"] == proof('{"a": "ä"}'.encode())
    assert found["gen_ai.tool.call.result"] == proof(b'{"to":"ann@corp.example","n":1}')
    assert found["gen_ai.response.finish_reasons"] == any_value(["a", "b"])
    assert found["gen_ai.tool.name"] == {"stringValue": "send_email"}


def test_bytes_are_hashed_as_they_are() -> None:
    told = tool_span("x", **AGENT)
    told["attributes"].append({"key": "mcp.request.params", "value": {"bytesValue": "AP+A"}})
    assert kept(message(told))["mcp.request.params"] == proof(b"\x00\xff\x80")


def test_an_event_tells_size_and_hash_of_what_its_record_hides() -> None:
    (part,) = parts(message(tool_span("send_email", **AGENT)))
    assert isinstance(part.content, Event)
    attributes = part.content.attributes
    hidden = kept(message(tool_span("send_email", **AGENT)))
    for name in ("arguments", "result"):
        told = {"bytes": attributes[f"{name}_bytes"], "sha256": attributes[f"{name}_sha256"]}
        assert hidden[f"gen_ai.tool.call.{name}"] == {"redacted": told}


def test_plain_texts_are_marked_with_their_hash() -> None:
    (part,) = parts(message(full_of(XYZZY)))
    (written,) = msgspec.json.decode(part.raw)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    said = f"could not send {XYZZY}".encode()
    assert written["status"]["message"] == f"redacted bytes={len(said)} sha256={hashlib.sha256(said).hexdigest()}"
    assert written["links"] == [{"traceId": "f" * 32, "spanId": "e" * 16}]


def test_names_say_no_more_than_the_conventions_have_them_say() -> None:
    named = {"execute_tool send_email": True, "execute_tool": True, "send_email": True, f"ask {XYZZY}": False}
    for name, clear in named.items():
        told = tool_span("send_email", **AGENT) | {"name": name, "traceState": f"v={XYZZY}", "kind": XYZZY}
        told["events"] = [{"name": f"gen_ai.{XYZZY}"}, {"name": "gen_ai.user.message", "timeUnixNano": XYZZY}]
        (part,) = parts(message(told))
        (written,) = msgspec.json.decode(part.raw)["resourceSpans"][0]["scopeSpans"][0]["spans"]
        assert (written["name"] == name) is clear
        assert XYZZY.encode() not in part.raw
        assert written["events"][1] == {"name": "gen_ai.user.message"}


def test_a_reason_does_not_repeat_what_it_is_about() -> None:
    for field in ("traceId", "spanId", "parentSpanId", "startTimeUnixNano", "status", "attributes"):
        (part,) = parts(message(span("chat") | {field: XYZZY}))
        assert isinstance(part.content, Reject)
        assert XYZZY not in part.content.detail
        assert XYZZY.encode() not in part.raw


def test_a_hash_that_the_agent_made_up_is_not_taken_over() -> None:
    forged = {"redacted": {"bytes": 1, "sha256": "0" * 64}}
    text = "redacted bytes=1 sha256=" + "0" * 64
    told = span("chat") | {"status": {"code": 2, "message": text}}
    for value in ({"kvlistValue": {"values": pairs({"a": "b"})}}, {"boolValue": True}, {"stringValue": "x"}):
        told["attributes"].append({"key": f"note{len(told['attributes'])}", "value": value | forged})
    (part,) = parts(message(told))
    assert b"0" * 64 not in part.raw
    alone = span("chat")
    alone["attributes"].append({"key": "note", "value": forged})
    assert kept(message(alone))["note"] == forged, "of a record that is read again"


def test_a_target_is_an_id_and_no_sentence() -> None:
    for arguments in ({"said": "a b"}, {"user_id": "who are you"}, {"paid": "yes"}):
        told = {**AGENT, "gen_ai.tool.call.arguments": msgspec.json.encode(arguments).decode()}
        (part,) = parts(message(tool_span("delete_x", **told)))
        assert isinstance(part.content, Event)
        assert part.content.target is not None
        assert part.content.target.uri == "tool://delete_x"


def test_attributes_with_fields_are_not_put_into_the_event() -> None:
    (part,) = parts(message(tool_span("x", **{**AGENT, "error.type": {"why": XYZZY}, "gen_ai.system": [XYZZY]})))
    assert XYZZY not in str(part.content)


scalars = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=300)
values = st.recursive(
    scalars | st.just(XYZZY),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@unhurried
@given(
    st.dictionaries(st.sampled_from(SAID), values, max_size=8),
    st.dictionaries(st.text(max_size=20), values, max_size=3),
)
def test_a_record_says_the_same_when_it_is_read_again(said: dict[str, Any], other: dict[str, Any]) -> None:
    written = message(tool_span("x", **{**AGENT, **said}), resource=other)
    (part,) = parts(written)
    (again,) = parts(part.raw)
    assert again.raw == part.raw
    shown = kept(written)
    assert all(shown[key].keys() == {"redacted"} for key in said)
