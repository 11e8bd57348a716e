"""Events as wild as the schema allows: every kind, every optional part, extreme numbers, times and names."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final, get_args

from hypothesis import strategies as st

from detector.events import (
    KINDS,
    Actor,
    ActorKind,
    Approval,
    Audience,
    Change,
    Destination,
    Event,
    Outcome,
    Permission,
    Sensitivity,
    Target,
    Zone,
)

MOST: Final = 2**63 - 1

counts = st.one_of(st.sampled_from([0, 1, 2**31, 2**53 + 1, MOST]), st.integers(0, MOST))
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.one_of(
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 1, 3), timezones=zones),  # noqa: DTZ001 - hypothesis adds it
    st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001
)
names = st.one_of(
    st.sampled_from(["agent-1", "agent-2", "alice", "thread-1", "A-1", "x" * 512, "\x00\x1b[31m\u202e", "a|b,c\n"]),
    st.text(max_size=20),
)
identifiers = names.filter(bool)
uris = st.one_of(
    identifiers,
    st.sampled_from(
        ["https://[::1", "https://[::1]:99999/x", "s3://", "http://10.0.0.1/v1/7", "mailbox://a", "gs://b/c?d#e", "//"]
    ),
)
optional = st.none() | names
words = st.sampled_from(["stop", "resume", "approve", "deny", "confirm", "bulk_delete", "post", ""]) | names
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.floats(allow_nan=False, allow_infinity=False) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
)

permissions = st.builds(
    Permission,
    change=st.sampled_from(get_args(Change)),
    grantee=optional,
    audience=st.sampled_from(get_args(Audience)),
    audience_count=st.none() | counts,
    privilege=names,
    requested=optional,
    temporary=st.booleans(),
    expires_at=st.none() | times,
    inherited_from=optional,
)
targets = st.builds(
    Target,
    uri=uris,
    type=names,
    sensitivity=st.sampled_from(get_args(Sensitivity)),
    container_size=st.none() | counts,
)
destinations = st.builds(
    Destination, host=optional, account=optional, recipient=optional, zone=st.sampled_from(get_args(Zone))
)
actors = st.builds(
    Actor,
    id=identifiers,
    kind=st.sampled_from(get_args(ActorKind)),
    role=names,
    on_behalf_of=optional,
    session=optional,
)


@st.composite
def events(draw: st.DrawFn) -> Event:
    """One event; a control event names the agent it concerns."""
    kind = draw(st.sampled_from(KINDS))
    return Event(
        id=draw(identifiers),
        time=draw(times),
        actor=draw(actors),
        kind=kind,
        action=draw(words),
        target=draw(targets if kind == "control" else st.none() | targets),
        destination=draw(st.none() | destinations),
        bytes_out=draw(counts),
        bytes_in=draw(counts),
        records=draw(counts),
        permission=draw(st.none() | permissions),
        approval=draw(st.none() | st.builds(Approval, required=st.booleans(), id=optional, by=optional)),
        thread=draw(optional),
        trace_id=draw(optional),
        parent_id=draw(optional),
        in_reply_to=draw(optional),
        outcome=draw(st.sampled_from(get_args(Outcome))),
        attributes=draw(st.dictionaries(names, values, max_size=3)),
    )
