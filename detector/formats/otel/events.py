"""A span of an agent -> an event, by the names of the GenAI semantic conventions.

| event | span |
| --- | --- |
| id, trace_id, parent_id | trace id and span id; trace id; the parent's event id |
| time | the start |
| actor | `gen_ai.agent.id`, else its name, perhaps an ancestor's, else `service.name`; role is the name |
| on_behalf_of | `enduser.id` or `user.id` |
| session | `gen_ai.conversation.id`, else `session.id`, else `mcp.session.id` |
| action | the tool, else the operation |
| kind | what the tool's name says that it does; `access` for a tool that reads, `call` for the rest |
| content | what the user's messages, the arguments and the result name; see `detector.extraction` |
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from detector.events import Actor, Content, Event, Kind, Named, Outcome
from detector.extraction import act_class, named_in_result, words
from detector.extraction.lexicon import ActClass
from detector.formats.otel.calls import Payload, destination, permission, reaches_out, records, target
from detector.formats.otel.requests import requests
from detector.formats.otel.spans import Span
from detector.formats.otel.wire import BadSpanError

# Attributes that are kept. None holds what people, models or tools said.
KEPT: Final = (
    *("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.system", "gen_ai.request.model"),
    *("gen_ai.response.model", "gen_ai.tool.type", "gen_ai.tool.call.id", "gen_ai.data_source.id"),
    *("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "mcp.method.name", "mcp.session.id"),
    *("server.address", "server.port", "http.request.method", "http.response.status_code", "error.type"),
)
KEPT_OF_RESOURCE: Final = ("service.name", "deployment.environment.name", "deployment.environment")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_KINDS: Final[Mapping[ActClass, Kind]] = {"send": "transfer", "delete": "delete", "publish": "publish"}
_ACCESS: Final = frozenset({"retrieval", "resources/read"})
_ASKING: Final = frozenset({"chat", "text_completion", "generate_content", "invoke_agent"})
# Of MCP, what is nobody's act. Any other method is one, also those that are yet to come.
_PASSED: Final = frozenset(
    {
        *("initialize", "ping", "logging/setLevel", "completion/complete", "roots/list", "elicitation/create"),
        *("tools/list", "prompts/list", "prompts/get", "tasks/list", "tasks/get", "sampling/createMessage"),
        *("resources/list", "resources/templates/list", "resources/subscribe", "resources/unsubscribe"),
    }
)
_NOTIFIES: Final = "notifications/"
_CALLS_TOOL: Final = "tools/call"
_DENIED: Final = re.compile(r"(?i)permission|denied|forbidden|unauthori[sz]ed|\b40[13]\b")


def to_event(span: Span) -> Event | None:
    """The span's event, None if it is nobody's act (a handshake, a listing of tools).

    Raises:
        BadSpanError: It names no agent or no time, or what it did can't be told.
    """
    attributes = span.attributes
    tool = _told(attributes, "gen_ai.tool.name") or _told(attributes, "mcp.tool.name")
    operation = _operation(attributes, tool)
    if not operation:
        return None
    called = Payload.of(attributes, "gen_ai.tool.call.arguments") if operation == "execute_tool" else Payload()
    result = Payload.of(attributes, "gen_ai.tool.call.result")
    action = (tool if operation == "execute_tool" else "") or operation
    act = act_class(action) if tool and operation == "execute_tool" else None
    reads = operation in _ACCESS or (operation == "execute_tool" and act is None)
    named = called.named()
    granted = permission(action, named, called.fields) if act == "share" else None
    kind: Kind = "access" if reads else "permission" if granted else _KINDS.get(act or "other", "call")
    return Event(
        id=span.id,
        time=_time(span),
        actor=_actor(span),
        kind=kind,
        action=action,
        target=target(span, operation, action, called, named),
        destination=destination(span, operation, act, named),
        bytes_out=called.size if act is not None or reaches_out(named) else 0,
        bytes_in=result.size,
        records=records(result.text) if kind in {"access", "delete"} else 0,
        permission=granted,
        trace_id=span.trace_id,
        parent_id=f"{span.trace_id}-{span.parent_id}" if span.parent_id else None,
        outcome=_outcome(span),
        content=_content(span, operation, named, result),
        attributes=_kept(span, called, result),
    )


def _operation(attributes: Mapping[str, Any], tool: str) -> str:
    """What was done, "" for what is nobody's act; that of a tool never is, whatever it is called.

    Raises:
        BadSpanError: What would tell is neither a word nor a number.
    """
    method = _told(attributes, "mcp.method.name")
    operation = _told(attributes, "gen_ai.operation.name") or ("execute_tool" if tool else method)
    passed = operation in _PASSED or operation.startswith(_NOTIFIES)
    if _CALLS_TOOL in {operation, method} or (tool and passed):
        return "execute_tool"
    return "" if passed else operation


def _content(span: Span, operation: str, named: tuple[Named, ...], result: Payload) -> Content | None:
    asked = words(*reversed(list(requests(span)))) if operation in _ASKING else ()
    held = named_in_result(result.text) if result.size else ()
    return Content(asked, named, held) if asked or named or held else None


def _actor(span: Span) -> Actor:
    name = _text(span.attributes, "gen_ai.agent.name")
    service = _text(span.resource, "service.name")
    who = _text(span.attributes, "gen_ai.agent.id") or name or service
    if not who:
        raise BadSpanError(f"span {span.id} names no agent: gen_ai.agent.id, gen_ai.agent.name or service.name")
    return Actor(
        id=who,
        role=name or service,
        on_behalf_of=_text(span.attributes, "enduser.id", "user.id") or None,
        session=_text(span.attributes, "gen_ai.conversation.id", "session.id", "mcp.session.id") or None,
    )


def _time(span: Span) -> datetime:
    time = span.time
    if not time:
        raise BadSpanError(f"span {span.id} says no time, neither startTimeUnixNano nor endTimeUnixNano")
    seconds, nanoseconds = divmod(time, 1_000_000_000)
    return _EPOCH + timedelta(0, seconds, nanoseconds // 1000)


def _outcome(span: Span) -> Outcome:
    error = _text(span.attributes, "error.type")
    if not error and not span.error:
        return "success"
    return "denied" if _DENIED.search(error) or _DENIED.search(span.message[:512]) else "failure"


def _kept(span: Span, called: Payload, result: Payload) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    _keep(kept, span.attributes, KEPT)
    _keep(kept, span.resource, KEPT_OF_RESOURCE)
    if called.size:
        kept["arguments_bytes"], kept["arguments_sha256"] = called.size, called.sha256
    if result.size:
        kept["result_bytes"], kept["result_sha256"] = result.size, result.sha256
    if span.origin is not None and not span.origin.source.whole:
        kept["resource_incomplete"] = True
    if span.end > span.start > 0:
        kept["duration_seconds"] = (span.end - span.start) / 1e9
    return kept


def _told(attributes: Mapping[str, Any], key: str) -> str:
    """An attribute by which acts are told apart, "" without it.

    Raises:
        BadSpanError: It is neither a word nor a number, so that nobody can say what was done.
    """
    value = attributes.get(key)
    if value is None or value == "":
        return ""
    if type(value) is str or type(value) is int:
        return str(value)[:512]
    raise BadSpanError(f"{key} is neither a word nor a number")


def _keep(kept: dict[str, Any], source: Mapping[str, Any], keys: Iterable[str]) -> None:
    """Adds those of the attributes that are numbers or words; what has fields or lists is none of the conventions'."""
    for key in keys:
        if key in source:
            value = source[key]
            if type(value) is str:
                kept[key] = value if len(value) <= 512 else value[:512]
            elif isinstance(value, (int, float)):
                kept[key] = value


def _text(source: Mapping[str, Any], *keys: str) -> str:
    """The first of these attributes that is a word or a number, as text; "" without one."""
    for key in keys:
        value = source.get(key)
        if value and (type(value) is str or type(value) is int):
            return str(value)[:512]
    return ""
