"""An agent that acts for somebody its user never named: what an instruction hidden in its reading looks like."""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Final, Literal, NamedTuple

from pydantic import Field

from detector.detectors.base import ATLAS, OWASP_AGENTIC, Context, DetectorSettings, Example, StructDetector, sample
from detector.detectors.requests import READ_MOST, TOLD_MOST, Memory, View, bound, digest
from detector.events import KINDS, Actor, Content, Event, Named, NamedKind
from detector.extraction import act_class, words
from detector.extraction.lexicon import ActClass
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


# Fields that whoever wrote the record fills in himself: they hold nobody whom the house knows.
WRITERS: Final = frozenset({"from", "sender", "reply_to", "replyto", "author"})

# So many others must have met somebody in their records before the fleet is said to know him.
KNOWN_BY: Final = 2


class _Stranger(NamedTuple):
    """Somebody whom an act is aimed at and nobody knows: where the name stood, and how grave that is."""

    named: Named
    origin: Provenance
    in_text: bool
    severity: Severity
    score: float


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

    house_wide = frozenset({"sessions", "names"})

    class Settings(DetectorSettings):
        """Bounds of `goal_hijack`."""

        sessions: int = Field(16, ge=1, description="Sessions remembered of each principal.")
        names: int = Field(
            2048, ge=1, description="Recipients remembered of each principal, and as many names in records."
        )

    settings: Settings

    def concerns(self, event: Event, state: Memory, context: Context) -> bool:  # noqa: ARG002
        """Only events whose words were kept."""
        return event.content is not None

    def detect(self, event: Event, state: Memory, context: Context) -> Iterator[Finding]:
        """The strangest recipient of the act, or the act itself if it was not asked for."""
        content, view = event.content, state.view(event, context.now)
        if content is None or view is None or not view.asked or (not content.arguments and event.kind == "access"):
            return
        act = act_class(event.action)
        unasked = act in CONSEQUENTIAL and act not in view.acts
        strangers = list(self._strangers(event, act, view, state, context, unasked=unasked))
        if strangers:
            worst = min(strangers, key=lambda stranger: (stranger.severity, -stranger.score))
            yield self._unnamed(event, context, worst, act, unasked=unasked)
        elif unasked and digest(str(act)) not in view.told:
            reason = (
                f"{context.principal.id} called {event.action}, and nothing in what its user asked for in this "
                f"session is about that ({act})"
            )
            evidence = {"tool": event.action, "act": act}
            yield self.finding(event, context, "unasked_act", "SEV3", reason, score=0.4, evidence=evidence)

    def _strangers(
        self, event: Event, act: ActClass | None, view: View, state: Memory, context: Context, *, unasked: bool
    ) -> Iterator[_Stranger]:
        """Those whom the act is aimed at and nobody knows, unless they were told as gravely before."""
        session = digest(state.session(event))
        for named in event.content.arguments if event.content is not None else ():
            key = digest(named.value)
            if named.kind not in AIMED_AT or key in view.told or view.names(named):
                continue
            # Looking at a page sends its address: a note, about the host.
            if act is None and not (named.alone and named.kind == "host"):
                continue
            if _is_known(named, key, session, state, context):
                continue
            found = _judged(named, key, act, view, unasked=unasked)
            if found.severity != "SEV4" or key not in view.noted:
                yield found

    def _unnamed(
        self, event: Event, context: Context, stranger: _Stranger, act: ActClass | None, *, unasked: bool
    ) -> Finding:
        named = stranger.named
        reason = (
            f"{context.principal.id} called {event.action} for the {named.kind} {named.value}, which "
            f"{_ORIGIN[stranger.origin]}; no one in the fleet ever acted for it and no earlier record holds it"
        )
        return self.finding(
            event,
            context,
            "unnamed_site" if act is None else "unnamed_recipient",
            stranger.severity,
            reason,
            score=stranger.score,
            entities=(f"recipient:{named.value}",),
            evidence={
                "tool": event.action,
                "act": act,
                "recipient": named.value,
                "recipient_kind": named.kind,
                "argument": named.key,
                "provenance": stranger.origin,
                "in_running_text": stranger.in_text,
                "asked_for": not unasked,
            },
        )

    def suspects(self, event: Event, state: Memory, context: Context) -> bool:
        """Whether the act is for somebody that was told before in this session."""
        view = state.view(event, context.now)
        if event.content is None or view is None or not view.told:
            return False
        return any(digest(named.value) in view.told for named in event.content.arguments)

    def learn(self, event: Event, state: Memory, context: Context, found: Sequence[Finding]) -> None:
        """Take in what was asked, whom the act was for, and whom its results name."""
        content = event.content
        if content is None:
            return
        view = state.open(event, context.now, self.settings.sessions)
        view.ask(content)
        for finding in found:
            if finding.detector == self.name:
                _take_down(finding, content, view)
        if not context.suspect:
            self._learn_aim(event, content, state, context)
        self._learn_result(content, digest(state.session(event)), view, state, context)

    def _learn_aim(self, event: Event, content: Content, state: Memory, context: Context) -> None:
        if event.kind == "access" or act_class(event.action) is None:
            return
        for named in content.arguments:
            if named.kind in AIMED_AT and (key := digest(named.value)) not in state.aimed_at:
                state.aimed_at[key] = None
                context.group.add_use(AIMED, named.value)
        bound(state.aimed_at, self.settings.names)

    def _learn_result(self, content: Content, session: int, view: View, state: Memory, context: Context) -> None:
        trusted = not view.tainted and not context.suspect
        for named in content.result:
            if named.kind not in HELD_KINDS:
                continue
            key = digest(named.value)
            view.read[key] = view.read.get(key, False) or named.alone
            if trusted and named.alone and named.key not in WRITERS and key not in state.held:
                state.held[key] = session
                context.group.add_use(HELD, named.value)
        bound(view.read, READ_MOST)
        bound(state.held, self.settings.names)

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


def _is_known(named: Named, key: int, session: int, state: Memory, context: Context) -> bool:
    """Whether the principal or its peers acted for it, or records of other sessions hold it."""
    role, priors = context.principal.role, context.priors
    first = state.held.get(key, session)
    if key in state.aimed_at or first != session or any(priors.users(role, AIMED, named.value)):
        return True
    holders = priors.users(role, HELD, named.value)[1] - (key in state.held)
    return holders >= KNOWN_BY


def _judged(named: Named, key: int, act: ActClass | None, view: View, *, unasked: bool) -> _Stranger:
    origin: Provenance = "result" if key in view.read else "nowhere"
    in_text = origin == "result" and not view.read[key]
    score = 0.5 + 0.2 * in_text + 0.15 * unasked + 0.1 * named.alone
    severity: Severity = "SEV3"
    if act is None:
        severity = "SEV4"
    elif in_text and unasked:
        severity = "SEV2"
    elif origin == "result" and not in_text and not unasked:
        # To answer whoever wrote, as one was asked to, is what assistants are for.
        severity, score = "SEV4", 0.3
    return _Stranger(named, origin, in_text, severity, round(score, 3))


def _take_down(finding: Finding, content: Content, view: View) -> None:
    """Remember what was told, so that it is not told again: a note silences notes only."""
    about = finding.evidence.get("recipient", finding.evidence["act"])
    names = [about]
    if finding.evidence.get("recipient_kind") in {"url", "host"}:
        names += [named.value for named in content.arguments if named.kind in {"url", "host"}]
    kept = view.noted if finding.severity == "SEV4" else view.told
    if finding.severity != "SEV4":
        view.tainted = True
        names.append(finding.evidence["act"])
    kept.update(dict.fromkeys(digest(str(name)) for name in names))
    bound(kept, TOLD_MOST)
