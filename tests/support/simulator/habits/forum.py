"""The internal forum: questions and answers of people, and agents' answers, posted once a person has said yes."""

from datetime import datetime, timedelta

from detector.events import Approval, Destination, Event, Permission, Target
from tests.support.simulator.catalogue import APPROVALS, FORUM
from tests.support.simulator.streams import lognormal, volume
from tests.support.simulator.trail import Context, Session, Trail
from tests.support.simulator.world import Principal

BOARDS = ("platform", "data", "it-help", "people", "releases")
ASSISTANT_API = "/v1/assistants/ask"
EVERYBODY = ("engineer", "support", "analyst", "operations")


def new_thread(trail: Trail) -> str:
    """The id of a thread that nobody has written to."""
    return f"forum/{trail.rng.choice(BOARDS)}/{trail.rng.randint(20_000, 99_999)}"


def thread_target(thread: str) -> Target:
    """A forum thread as a target."""
    return Target(uri=f"forum://{thread.removeprefix('forum/')}", type="forum_thread", sensitivity="internal")


def board(thread: str) -> Destination:
    """Where a post goes: the board of its thread."""
    return Destination(host=FORUM.name, recipient=thread.rpartition("/")[0], zone="internal")


def post(trail: Trail, at: datetime, author: Principal, thread: str, reply_to: Event | None = None) -> Event:
    """A person's post; the first of a thread replies to nothing."""
    context: Context = {"thread": thread}
    if reply_to is not None:
        context["in_reply_to"] = reply_to.id
    return trail.record(
        at, author, "publish", "forum.post", target=thread_target(thread), destination=board(thread),
        bytes_out=volume(trail.rng, 700), records=1, **context,
    )  # fmt: skip


def agent_post(session: Session, question: Event, approval: Approval) -> Event:
    """An agent's answer on the board, into the question's thread."""
    thread = question.thread or ""
    return session.do(
        "publish", "forum.post", target=thread_target(thread), destination=board(thread), thread=thread,
        bytes_out=volume(session.rng, 1_400), records=1, approval=approval, in_reply_to=question.id,
    )  # fmt: skip


def conversation(trail: Trail, at: datetime) -> None:
    """A person asks; colleagues read and answer within the hour."""
    thread = new_thread(trail)
    last = post(trail, at, trail.who, thread)
    for _ in range(trail.rng.randint(1, 4)):
        at += timedelta(seconds=lognormal(trail.rng, 500, 0.8))
        reader = trail.colleague(*EVERYBODY)
        trail.record(at, reader, "access", "forum.read", target=thread_target(thread), thread=thread, records=1)
        if trail.rng.random() < 0.5:
            at += timedelta(seconds=lognormal(trail.rng, 200))
            last = post(trail, at, reader, thread, last)


def approved_answer(trail: Trail, at: datetime) -> None:
    """A question on the board, an agent's draft, a person's verdict, and only after a yes the post.

    A post is at times followed by a small, approved change of permissions: advice that was fine to follow.
    """
    asker = trail.colleague("engineer")
    thread = new_thread(trail)
    question = post(trail, at, asker, thread)
    session = trail.session(at, on_behalf_of=asker.id, pace=8)
    session.wait(400, 0.6)
    session.read(trail.pick("handbook"))
    session.call(APPROVALS, "/v1/requests", 1_500, 200)
    reviewer = trail.colleague("operations", "manager")
    if trail.rng.random() < 0.15:
        session.ask(reviewer, "deny", thread)
        return
    answer = agent_post(session, question, session.ask(reviewer, "approve", thread))
    if trail.rng.random() < 0.3:
        _follow(trail, session.wait(600), answer)


def private_answer(trail: Trail, at: datetime) -> None:
    """A person asks in private and gets the answer in private; nothing is posted."""
    asker = trail.colleague("engineer")
    session = trail.session(at, on_behalf_of=asker.id, pace=5)
    session.call(FORUM, ASSISTANT_API, 600, 900, "assistant.ask")
    for _ in range(trail.rng.randint(1, 3)):
        session.read(trail.pick("handbook" if trail.rng.random() < 0.4 else "code"))
    session.call(FORUM, "/v1/assistants/reply", 1_200, 150, "assistant.reply")


def _follow(trail: Trail, at: datetime, answer: Event) -> None:
    actor, reader = trail.colleague("operations"), trail.colleague("engineer")
    item = trail.rng.choice([item for item in trail.world.domain("code") if item.sensitivity == "internal"])
    trail.record(
        at, actor, "permission", "acl.update", target=item.target(), thread=answer.thread or "",
        in_reply_to=answer.id,
        permission=Permission("grant", reader.id, "user", 1, "read"),
        approval=Approval(required=True, id=f"chg-{trail.rng.randint(10_000, 99_999)}", by=reader.id),
    )  # fmt: skip
