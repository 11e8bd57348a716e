"""Whose a span is that does not say so: told by the spans around it.

The conventions ask for `gen_ai.agent.*` and `gen_ai.conversation.id` on the spans of agents and models; those of
tools (`execute_tool`) name neither. Within a message such a span belongs to its nearest ancestor that says, else
to the first span of its trace that does, of the same service if there is one.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from detector.formats.otel.spans import Span

_AGENT: Final = ("gen_ai.agent.id", "gen_ai.agent.name")
_CONVERSATION: Final = ("gen_ai.conversation.id",)


def with_owners(spans: Sequence[Span]) -> list[Span]:
    """The spans in the same order, each with the agent and the conversation that it inherits.

    Args:
        spans: Those of one message in order of time; of several that could tell, the first does.
    """
    if len(spans) < 2 or all(_says(span, _AGENT) and _says(span, _CONVERSATION) for span in spans):
        return list(spans)
    by_id: dict[str, Span] = {}
    for span in spans:
        by_id.setdefault(span.id, span)
    agents = _Owners((span for span in spans if _names_its_agent(span)), by_id)
    conversations = _Owners((span for span in spans if _says(span, _CONVERSATION)), by_id)
    found = []
    for span in spans:
        owner = None if _says(span, _AGENT) else agents.of(span)
        talk = None if _says(span, _CONVERSATION) else conversations.of(span)
        told = {**_told(owner, _AGENT), **_told(talk, _CONVERSATION)}
        found.append(replace(span, attributes={**span.attributes, **told}) if told else span)
    return found


class _Owners:
    """The spans that say something, to be found by those that don't; each way up is walked once."""

    def __init__(self, tellers: Iterable[Span], by_id: Mapping[str, Span]) -> None:
        self._by_id = by_id
        self._first: dict[tuple[str, str | None], Span] = {}
        self._nearest: dict[str, Span | None] = {}
        for span in tellers:
            self._nearest.setdefault(span.id, span)
            self._first.setdefault((span.trace_id, _service(span)), span)
            self._first.setdefault((span.trace_id, None), span)

    def of(self, span: Span) -> Span | None:
        above = self._above(span)
        return above or self._first.get((span.trace_id, _service(span))) or self._first.get((span.trace_id, None))

    def _above(self, span: Span) -> Span | None:
        way: list[str] = []
        at: Span | None = span
        while at is not None and at.id not in self._nearest:
            self._nearest[at.id] = None  # a span that is its own ancestor has no more to tell
            way.append(at.id)
            at = self._by_id.get(f"{at.trace_id}-{at.parent_id}")
        found = None if at is None else self._nearest[at.id]
        self._nearest.update(dict.fromkeys(way, found))
        return found


def _names_its_agent(span: Span) -> bool:
    """Not so where an agent is made: the span names the new one, which did nothing yet."""
    return span.attributes.get("gen_ai.operation.name") != "create_agent" and _says(span, _AGENT)


def _says(span: Span, keys: Iterable[str]) -> bool:
    for key in keys:  # a generator costs more than what it does here
        value = span.attributes.get(key)
        if value and type(value) in {str, int}:
            return True
    return False


def _told(owner: Span | None, keys: Iterable[str]) -> dict[str, object]:
    attributes = {} if owner is None else owner.attributes
    return {key: value for key in keys if (value := attributes.get(key)) and type(value) in {str, int}}


def _service(span: Span) -> str:
    return str(span.resource.get("service.name") or "")
