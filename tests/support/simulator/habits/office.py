"""People's days: sign-in, reading what they are used to, reports, a new colleague's first days."""

from datetime import datetime

from detector.events import Target
from tests.support.simulator.catalogue import CALENDAR, FORUM, LAKEHOUSE, internal_node
from tests.support.simulator.streams import tail_rank
from tests.support.simulator.trail import Trail

SSO = Target(uri="sso://corp", type="identity_provider", sensitivity="internal")
_READING_PACE = 75.0


def sign_in(trail: Trail, at: datetime) -> None:
    """The day's sign-in; one in twenty mistypes first."""
    session = trail.session(at, pace=9)
    if trail.rng.random() < 0.05:
        session.do("auth", "login", target=SSO, outcome="failure")
    session.do("auth", "login", target=SSO)


def reading(trail: Trail, at: datetime) -> None:
    """Some documents in a row, mostly of the person's own work."""
    session = trail.session(at, pace=_READING_PACE)
    own = trail.who.role.domains[1]
    for _ in range(trail.rng.randint(1, 4)):
        session.read(trail.pick(own if trail.rng.random() < 0.7 else "handbook"))


def wider_reading(trail: Trail, at: datetime) -> None:
    """Something from the further domains of the role: clusters, drafts, people, users."""
    session = trail.session(at, pace=_READING_PACE)
    domain = trail.rng.choice(trail.who.role.domains[2:] or trail.who.role.domains)
    for _ in range(trail.rng.randint(1, 2)):
        session.read(trail.pick(domain), action="query" if domain in {"insights", "userdata"} else "read")


def calendar(trail: Trail, at: datetime) -> None:
    """A look at the calendar, and at times at the forum's front page."""
    session = trail.session(at, pace=20)
    session.call(CALENDAR, "/v1/events", 300, 6_000, "http.get")
    if trail.rng.random() < 0.5:
        session.call(FORUM, "/latest", 250, 30_000, "http.get")


def report(trail: Trail, at: datetime) -> None:
    """An analyst's report: queries, then the result to the approved warehouse."""
    session = trail.session(at, pace=120)
    for _ in range(trail.rng.randint(1, 3)):
        session.read(trail.pick("analytics"), action="query")
    session.send(trail.pick("analytics"), LAKEHOUSE, 900_000)


def on_call(trail: Trail, at: datetime) -> None:
    """Operations at work on the clusters, machine by machine."""
    session = trail.session(at, pace=40)
    session.read(trail.pick("infra"))
    for _ in range(trail.rng.randint(1, 3)):
        segment = trail.rng.choice((20, 30, 40))
        node = internal_node(tail_rank(trail.rng, 0.9, 60), segment)
        session.call(node, "/v1/health", 220, 3_000, "http.get")


def first_days(trail: Trail, at: datetime) -> None:
    """A new colleague reads in: many documents, none of them read before. Nobody else does."""
    if not trail.who.joins:
        return
    session = trail.session(at, pace=150)
    for _ in range(trail.rng.randint(5, 9)):
        session.read(trail.pick(trail.rng.choice(trail.who.role.domains)))
