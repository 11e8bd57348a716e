"""Changes of who can reach what, as they should be: asked for, approved, small, and taken back in time."""

from datetime import datetime, timedelta

from detector.events import Approval, Event, Permission, Sensitivity
from tests.support.simulator.catalogue import Resource
from tests.support.simulator.streams import lognormal
from tests.support.simulator.trail import Trail

HEADCOUNT = 4_812
_TEAMS = ("payments-oncall", "search", "trust", "mobile", "data-platform", "identity", "release", "billing")
_GRANTABLE = ("code", "infra", "kb", "analytics", "management")


def named_user(trail: Trail, at: datetime) -> None:
    """One colleague gets to read one thing; what is confidential has been approved."""
    item = _item(trail, *(("confidential",) if trail.rng.random() < 0.3 else ("internal",)))
    grantee = trail.colleague("engineer", "support", "analyst")
    _change(trail, at, item, Permission("grant", grantee.id, "user", 1, trail.rng.choice(("read", "read", "write"))))


def small_group(trail: Trail, at: datetime) -> None:
    """A team of a few people gets to read one thing."""
    item = _item(trail, *(("confidential",) if trail.rng.random() < 0.3 else ("internal",)))
    team = f"group:{trail.rng.choice(_TEAMS)}"
    _change(trail, at, item, Permission("grant", team, "group", trail.rng.randint(3, 12), "read"))


def temporary(trail: Trail, at: datetime) -> None:
    """An engineer gets in for some hours, reads what the task needs, and is out again before the end."""
    item = _item(trail, "confidential", "restricted", domains=("code", "infra", "analytics", "userdata"))
    grantee = trail.colleague("engineer")
    ends = at.replace(microsecond=0) + timedelta(hours=trail.rng.choice((1, 2, 4, 8)))
    grant = Permission("grant", grantee.id, "user", 1, "read", requested="read", temporary=True, expires_at=ends)
    _change(trail, at, item, grant)
    for _ in range(trail.rng.randint(1, 3)):
        at += timedelta(seconds=lognormal(trail.rng, 240, 0.6))
        trail.record(at, grantee, "access", "read", target=item.target(), bytes_in=item.bytes, records=item.records)
    closer, change = (trail.who, "revoke") if trail.rng.random() < 0.4 else (trail.world.by_role["iam"][0], "expire")
    early = trail.rng.uniform(0.1, 0.5) * (ends - at) if change == "revoke" else timedelta(milliseconds=400)
    trail.record(
        ends - early, closer, "permission", f"role.{change}", target=item.target(),
        permission=Permission("revoke" if change == "revoke" else "expire", grantee.id, "user", 1, "read"),
    )  # fmt: skip


def open_document(trail: Trail, at: datetime) -> None:
    """A plan or guide that is ready for the whole company; internal, nothing more."""
    item = _item(trail, "internal", domains=("management", "handbook"))
    _change(trail, at, item, Permission("widen", "org:all", "org", HEADCOUNT, "read"), action="share")


def clean_up(trail: Trail, at: datetime) -> None:
    """Access that nobody needs any more goes."""
    item = _item(trail, "internal", "confidential")
    if trail.rng.random() < 0.5:
        gone = Permission("revoke", trail.colleague("engineer", "support").id, "user", 1, "read")
    else:
        gone = Permission("narrow", f"group:{trail.rng.choice(_TEAMS)}", "group", trail.rng.randint(3, 12), "read")
    trail.record(at, trail.who, "permission", "acl.update", target=item.target(), permission=gone)


def inherited(trail: Trail, at: datetime) -> None:
    """The identity service applies what a team's folder passes on: just what was asked for."""
    item = _item(trail, "internal")
    team = f"group:{trail.rng.choice(_TEAMS)}"
    change = Permission(
        "inherit",
        team,
        "group",
        trail.rng.randint(3, 12),
        "read",
        requested="read",
        inherited_from=f"folder:{team.removeprefix('group:')}",
    )
    trail.record(at, trail.who, "permission", "acl.sync", target=item.target(), permission=change)


def by_agent(trail: Trail, at: datetime) -> None:
    """An agent gives a team access to a repository, after a person's yes."""
    session = trail.session(at, on_behalf_of=trail.who.owner)
    item = _item(trail, "internal", domains=("code",))
    approval = session.ask(trail.colleague("operations"), "approve", item.uri)
    team = Permission("grant", f"group:{trail.rng.choice(_TEAMS)}", "group", trail.rng.randint(3, 12), "read")
    session.do("permission", "acl.update", target=item.target(), permission=team, approval=approval)


def _item(trail: Trail, *sensitivities: Sensitivity, domains: tuple[str, ...] = _GRANTABLE) -> Resource:
    pool = [item for name in domains for item in trail.world.domain(name) if item.sensitivity in sensitivities]
    return trail.rng.choice(pool)


def _change(trail: Trail, at: datetime, item: Resource, change: Permission, action: str = "acl.update") -> Event:
    """A person's change; with a ticket that somebody else approved, always so for confidential things."""
    if item.sensitivity == "internal" and trail.rng.random() < 0.4:
        return trail.record(at, trail.who, "permission", action, target=item.target(), permission=change)
    by = trail.colleague("manager", "operations").id
    approval = Approval(required=True, id=f"chg-{trail.rng.randint(10_000, 99_999)}", by=by)
    return trail.record(at, trail.who, "permission", action, target=item.target(), permission=change, approval=approval)
