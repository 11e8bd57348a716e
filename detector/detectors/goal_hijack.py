"""An agent that acts for somebody its user never named: what an instruction hidden in its reading looks like."""

import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, Literal

import msgspec
from pydantic import Field

from detector.detectors.base import ATLAS, OWASP_AGENTIC, Context, DetectorSettings, Example, StructDetector, sample
from detector.events import KINDS, Actor, Content, Event, Named, NamedKind
from detector.extraction import act_class, asked_for, mentions, words
from detector.extraction.lexicon import ASKED, ActClass
from detector.findings import Finding
from detector.severity import Severity

Provenance = Literal["request", "result", "nowhere"]

# What a call can be aimed at. Names and paths are too common as words to be told apart by where they stood.
AIMED_AT: Final[frozenset[NamedKind]] = frozenset({"email", "account", "phone", "url", "host", "channel"})

# A channel is only a name where records list it.
HELD_KINDS: Final[frozenset[NamedKind]] = AIMED_AT | {"name"}

# Acts that nobody undertakes on their own account. Notes, events and files are made by the way.
CONSEQUENTIAL: Final = frozenset({"send", "pay", "share", "delete", "publish", "credential", "book"})

# Namespaces of the peers' knowledge: whom calls were aimed at, and whom records hold.
AIMED: Final = "aimed_at"
HELD: Final = "held"

_ORIGIN: Final[Mapping[Provenance, str]] = {
    "request": "the user named",
    "result": "stood only in what it read in this session",
    "nowhere": "stood neither in the request nor in anything it read",
}


class View(msgspec.Struct, array_like=True):
    """One session: what was asked, whom its results named (and whether as a value of its own), what was told.

    Words and names are kept as checksums: to know them again is enough. `acts` are the classes of acts that
    the request has words for. What a tainted session reads, after a finding, is trusted no more.
    """

    asked: dict[int, None] = {}
    acts: dict[ActClass, None] = {}
    read: dict[int, bool] = {}
    told: dict[int, None] = {}
    tainted: bool = False


class Memory(msgspec.Struct, array_like=True):
    """What one principal knows: its sessions, whom it acted for, and in which session a record first held whom."""

    sessions: dict[str, View] = {}
    aimed_at: dict[int, None] = {}
    held: dict[int, int] = {}


class GoalHijack(StructDetector[Memory]):
    """Acts that are aimed at somebody neither the user nor the house's own records know.

    Indirect prompt injection makes an agent send, pay or share to an address that the attacker wrote into
    something it reads. Such a recipient is not in the user's request, nobody in the fleet ever acted for
    it, and no record that was read in an earlier session holds it as a value of its own; running text does
    not count as a record, since anybody may have written it. The second rule needs no recipient: a
    consequential act of a kind that the request has no word for.

    Silent where the log has no requests (`content.request`).

    References:
        Greshake et al. (2023), Not what you've signed up for: compromising real-world LLM-integrated
        applications with indirect prompt injection; Debenedetti et al. (2024), AgentDojo.
    """

    name = "goal_hijack"
    rules: ClassVar[Mapping[str, str]] = {
        "unnamed_recipient": "acts for somebody its user never named",
        "unasked_act": "does what its user never asked for",
        "unnamed_site": "looks at a site that its user never named",
    }
    runbook = "Read the session's last tool results for hidden instructions; stop the agent and undo what it sent."
    tags = (
        f"{OWASP_AGENTIC}:ASI01",
        f"{OWASP_AGENTIC}:ASI02",
        f"{ATLAS}:AML.T0051.001",
        f"{ATLAS}:AML.T0086",
    )
    kinds = frozenset(KINDS) - {"control"}
    State = Memory

    class Settings(DetectorSettings):
        """Bounds of `goal_hijack`."""

        sessions: int = Field(16, ge=1, description="Sessions remembered of each principal.")
        names: int = Field(4096, ge=1, description="Recipients, and names in records, remembered of each principal.")

    settings: Settings

    def detect(self, event: Event, state: Memory, context: Context) -> Iterator[Finding]:
        """The strangest recipient of the act, or the act itself if it was not asked for."""
        content, view = event.content, state.sessions.get(_session(event))
        if content is None or view is None or not view.asked or (not content.arguments and event.kind == "access"):
            return
        act = act_class(event.action)
        unasked = act in CONSEQUENTIAL and act not in view.acts
        strangers = [n for n in content.arguments if self._is_stranger(n, _sum(_session(event)), view, state, context)]
        if act is None:
            # Looking at a page sends its address, and nothing else: a note, no more.
            sites = [named for named in strangers if named.alone and named.kind == "host"]
            if sites:
                yield self._unnamed(event, context, view, sites[0], act, unasked=False)
        elif strangers:
            # The call's own recipient says more than a link in its text.
            named = max(strangers, key=lambda named: named.alone)
            yield self._unnamed(event, context, view, named, act, unasked=unasked)
        elif unasked and _sum(act) not in view.told:
            reason = (
                f"{context.principal.id} called {event.action}, and nothing in what its user asked for in this "
                f"session is about that ({act})"
            )
            yield self.finding(
                event, context, "unasked_act", "SEV3", reason, score=0.4, evidence={"tool": event.action, "act": act}
            )

    def _is_stranger(self, named: Named, session: int, view: View, state: Memory, context: Context) -> bool:
        if named.kind not in AIMED_AT:
            return False
        key = _sum(named.value)
        if key in state.aimed_at or key in view.told or _names(view, named):
            return False
        if state.held.get(key, session) != session:
            return False
        role, priors = context.principal.role, context.priors
        return not any(any(priors.users(role, namespace, named.value)) for namespace in (AIMED, HELD))

    def _unnamed(
        self, event: Event, context: Context, view: View, named: Named, act: ActClass | None, *, unasked: bool
    ) -> Finding:
        origin: Provenance = "result" if _sum(named.value) in view.read else "nowhere"
        in_text = origin == "result" and not view.read[_sum(named.value)]
        severity: Severity = "SEV4" if act is None else "SEV2" if in_text and unasked else "SEV3"
        score = 0.5 + 0.2 * in_text + 0.15 * unasked + 0.1 * named.alone
        reason = (
            f"{context.principal.id} called {event.action} for the {named.kind} {named.value}, which "
            f"{_ORIGIN[origin]}; no one in the fleet ever acted for it and no earlier record holds it"
        )
        return self.finding(
            event,
            context,
            "unnamed_site" if act is None else "unnamed_recipient",
            severity,
            reason,
            score=score,
            entities=(f"recipient:{named.value}",),
            evidence={
                "tool": event.action,
                "act": act,
                "recipient": named.value,
                "recipient_kind": named.kind,
                "argument": named.key,
                "provenance": origin,
                "in_running_text": in_text,
                "asked_for": not unasked,
            },
        )

    def suspects(self, event: Event, state: Memory, context: Context) -> bool:  # noqa: ARG002
        """Whether the act is for somebody that was told before in this session."""
        view = state.sessions.get(_session(event))
        if event.content is None or view is None or not view.told:
            return False
        return any(_sum(named.value) in view.told for named in event.content.arguments)

    def learn(self, event: Event, state: Memory, context: Context, found: Sequence[Finding]) -> None:
        """Take in what was asked, whom the act was for, and whom its results name."""
        content, name = event.content, _session(event)
        if content is None:
            return
        view = state.sessions.pop(name, None) or View()
        state.sessions[name] = view
        _bound(state.sessions, self.settings.sessions)
        if content.request:
            view.asked.update(dict.fromkeys(map(_sum, content.request)))
            view.acts.update(dict.fromkeys(act for act in ASKED if asked_for(act, "", content.request)))
            _bound(view.asked, self.settings.names)
        for finding in found:
            if finding.detector == self.name:
                told = [named.value for named in content.arguments if named.kind in AIMED_AT]
                view.told.update(dict.fromkeys(_sum(name) for name in (*told, finding.evidence["act"]) if name))
                view.tainted = view.tainted or finding.severity != "SEV4"
        if not context.suspect:
            self._learn_aim(event, content, state, context)
        self._learn_result(content, _sum(name), view, state, context)

    def _learn_aim(self, event: Event, content: Content, state: Memory, context: Context) -> None:
        if event.kind == "access" or act_class(event.action) is None:
            return
        for named in content.arguments:
            if named.kind in AIMED_AT and _sum(named.value) not in state.aimed_at:
                state.aimed_at[_sum(named.value)] = None
                context.group.add_use(AIMED, named.value)
        _bound(state.aimed_at, self.settings.names)

    def _learn_result(self, content: Content, session: int, view: View, state: Memory, context: Context) -> None:
        trusted = not view.tainted and not context.suspect
        for named in content.result:
            if named.kind not in HELD_KINDS:
                continue
            key = _sum(named.value)
            view.read[key] = view.read.get(key, False) or named.alone
            if trusted and named.alone and key not in state.held:
                state.held[key] = session
                context.group.add_use(HELD, named.value)
        _bound(view.read, self.settings.names)
        _bound(state.held, self.settings.names)

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """Mail to an address that a page named; to one that the user named; to one of the address book."""

        def asked(minute: float, text: str, session: str) -> Event:
            return sample(minute, id=f"q-{minute:g}", kind="call", action="chat", actor=_agent(session),
                          content=Content(request=words(text)))  # fmt: skip

        def read(minute: float, named: Named, session: str) -> Event:
            return sample(minute, action="read_page", actor=_agent(session), content=Content(result=(named,)))

        def mailed(minute: float, address: str, session: str) -> Event:
            to = Named("email", address, "recipients", alone=True)
            return sample(minute, kind="transfer", action="send_email", actor=_agent(session),
                          content=Content(arguments=(to,)))  # fmt: skip

        hidden = Named("email", "drop@attacker.example")
        book = Named("email", "bob@corp.example", "email", alone=True)
        summary = "Please summarise the page and send the summary to carol@corp.example"
        return [
            Example(
                "mail to an address that only a page named",
                [asked(0, summary, "s"), read(1, hidden, "s"), mailed(2, "drop@attacker.example", "s")],
                ("unnamed_recipient",),
            ),
            Example(
                "mail that nobody asked for, to a colleague",
                [read(0, book, "s"), asked(9, "What is on the page?", "t"), mailed(10, "bob@corp.example", "t")],
                ("unasked_act",),
            ),
            Example("mail to whom the user named", [asked(0, summary, "s"), mailed(2, "carol@corp.example", "s")], ()),
            Example(
                "mail to somebody whom a record of an earlier session holds",
                [read(0, book, "s"), asked(9, "Mail the summary to Bob", "t"), mailed(10, "bob@corp.example", "t")],
                (),
            ),
            Example("a log without requests", [mailed(2, "drop@attacker.example", "s")], ()),
        ]


def _agent(session: str) -> Actor:
    return Actor(id="agent-1", role="assistant", session=session)


def _session(event: Event) -> str:
    return event.actor.session or event.trace_id or ""


def _sum(text: str) -> int:
    return zlib.crc32(text.encode())


class _Words(Collection[str]):
    """The words of a request, known by their checksums."""

    def __init__(self, view: View) -> None:
        self._sums = view.asked

    def __contains__(self, word: object) -> bool:
        return _sum(str(word)) in self._sums

    def __len__(self) -> int:
        return len(self._sums)

    def __iter__(self) -> Iterator[str]:
        raise TypeError("a request's words are not kept")


def _names(view: View, named: Named) -> bool:
    """Whether the request names it, be it a person by all the words of an address (sarah.baker@…)."""
    asked = _Words(view)
    if mentions(asked, named):
        return True
    person = words(named.value.partition("@")[0])[1:] if named.kind == "email" else ()
    return len(person) > 1 and all(part in asked for part in person)


def _bound(kept: dict[Any, Any], most: int) -> None:
    """Forget the oldest past `most`."""
    while len(kept) > most:
        del kept[next(iter(kept))]
