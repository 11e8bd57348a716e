"""What people asked, out of the messages that a GenAI span carries: users' own text and nothing else.

System prompts, the model's words and tools' results are left out, tools' results also where a framework puts
them into a message of the user's: an instruction hidden in a result must never count as a request.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any, Final

import msgspec

from detector.formats.otel.spans import Span

_TEXT: Final = ("text", "input_text")
_OF_TOOLS: Final = ("tool_call_id", "tool_use_id")
_MOST_INDEXED: Final = 200


def requests(span: Span) -> Iterator[str]:
    """What the users said, turn by turn, oldest first.

    Read are `gen_ai.input.messages`, or in its absence what older conventions have: span events
    `gen_ai.user.message`, `gen_ai.prompt` as messages, and `gen_ai.prompt.N.role` with `.content`. A prompt
    that does not say whose words it holds is passed over.
    """
    attributes = span.attributes
    messages = attributes.get("gen_ai.input.messages")
    if messages is not None:
        yield from _of_messages(messages)
        return
    if "gen_ai.prompt.0.role" in attributes:
        yield from _indexed(attributes)
    yield from _of_messages(attributes.get("gen_ai.prompt"))
    for name, inner in span.events:
        if name == "gen_ai.user.message":
            yield from _of_turn(inner.get("gen_ai.event.content") or inner.get("content"))
        elif name == "gen_ai.content.prompt":
            yield from _of_messages(inner.get("gen_ai.prompt"))
        elif name == "gen_ai.client.inference.operation.details":
            yield from _of_messages(inner.get("gen_ai.input.messages"))


def _of_messages(messages: Any) -> Iterator[str]:
    found = _decoded(messages)
    for message in found if isinstance(found, list) else [found]:
        if isinstance(message, Mapping) and message.get("role") == "user" and not _is_of_tool(message):
            yield from _of_turn(message.get("parts", message.get("content")))


def _of_turn(content: Any) -> Iterator[str]:
    text = "\n".join(_of_content(content))
    if text:
        yield text


def _of_content(content: Any) -> Iterator[str]:
    found = _decoded(content)
    if isinstance(found, str):
        yield found
    for part in found if isinstance(found, Sequence) and not isinstance(found, str) else [found]:
        if not isinstance(part, Mapping) or _is_of_tool(part):
            continue
        if part.get("type") in _TEXT or part.keys() == {"content"}:
            text = part.get("content", part.get("text"))
            if isinstance(text, str):
                yield text


def _is_of_tool(said: Mapping[str, Any]) -> bool:
    """Whether a message or a part of one answers a tool call, whatever else it calls itself."""
    return any(key in said for key in _OF_TOOLS)


def _indexed(attributes: Mapping[str, Any]) -> Iterator[str]:
    latest: deque[int] = deque(maxlen=_MOST_INDEXED)
    for index in count():
        role = attributes.get(f"gen_ai.prompt.{index}.role")
        if role is None:
            break
        if role == "user":
            latest.append(index)
    for index in latest:
        yield from _of_turn(attributes.get(f"gen_ai.prompt.{index}.content"))


def _decoded(value: Any) -> Any:
    """A text that is a JSON object or list as that, anything else as it is."""
    if not isinstance(value, str) or value.lstrip()[:1] not in {"[", "{"}:
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return value
