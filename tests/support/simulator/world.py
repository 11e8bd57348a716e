"""The company: how many there are of each role, who they are, and what each is used to working with."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from itertools import accumulate
from typing import Final

from detector.events import Actor, ActorKind
from tests.support.simulator.catalogue import Resource, resources
from tests.support.simulator.streams import lognormal, stream

_FIRST: Final = (
    "hana", "luca", "amina", "jonas", "priya", "mateo", "ingrid", "kofi", "elena", "tariq", "sofia", "noah", "mei",
    "david", "fatou", "oskar", "lucia", "arjun", "nadia", "felix", "yuki", "carla", "samir", "greta", "diego", "leila",
    "anton", "zoe", "ravi", "clara", "emeka", "julia", "pavel", "ines", "omar", "freya", "tomas", "aisha", "viktor",
    "rosa",
)  # fmt: skip
_LAST: Final = (
    "sato", "moretti", "diallo", "weber", "raman", "vargas", "lindqvist", "mensah", "petrova", "haddad", "costa",
    "fischer", "chen", "okafor", "ndiaye", "nyberg", "romero", "mehta", "karimi", "braun", "tanaka", "rossi", "aziz",
    "holm", "fuentes", "nasser", "novak", "martin", "kapoor", "schmidt", "eze", "horvat", "dvorak", "santos", "farah",
    "berg", "silva", "bello", "ivanov", "conti",
)  # fmt: skip


@dataclass(frozen=True)
class Role:
    """A peer group: the domains its members work with, and the role of the people that its agents serve."""

    name: str
    kind: ActorKind
    domains: tuple[str, ...]
    serves: str = ""


ROLES: Final[tuple[Role, ...]] = (
    Role("engineer", "human", ("handbook", "code", "infra")),
    Role("support", "human", ("handbook", "tickets", "kb")),
    Role("analyst", "human", ("handbook", "analytics", "insights", "userdata")),
    Role("operations", "human", ("handbook", "infra", "code", "people")),
    Role("manager", "human", ("handbook", "management", "policy")),
    Role("content-moderation", "agent", ("moderation",), "operations"),
    Role("knowledge-base", "agent", ("kb", "handbook"), "support"),
    Role("support-triage", "agent", ("tickets", "kb"), "support"),
    Role("mail-assistant", "agent", ("handbook",), "manager"),
    Role("research-browser", "agent", ("handbook",), "analyst"),
    Role("engineering-assistant", "agent", ("code", "handbook"), "engineer"),
    Role("data-pipeline", "agent", ("analytics",), "analyst"),
    Role("backup", "service", ()),
    Role("iam", "service", ()),
    Role("publisher", "service", ("website",)),
)
_ROLE: Final = {role.name: role for role in ROLES}


@dataclass(frozen=True)
class Population:
    """How many principals of each role; `newcomers` of the support people join on the second day or later.

    `breadth` multiplies the catalogue of resources, for companies of many hundreds.
    """

    counts: Mapping[str, int]
    newcomers: int = 1
    breadth: int = 1

    @classmethod
    def of(cls, total: int) -> "Population":
        """The mix of `SMALL`, scaled to about `total` principals; services stay one of each.

        >>> sum(Population.of(200).counts.values())
        200
        """
        services = [role.name for role in ROLES if role.kind == "service"]
        others = {name: count for name, count in SMALL.counts.items() if name not in services}
        share = (total - len(services)) / sum(others.values())
        ceilings = list(accumulate(count * share for count in others.values()))
        counts = {
            name: round(high) - round(low) for name, low, high in zip(others, [0.0, *ceilings], ceilings, strict=False)
        }
        breadth = max(1, total // 150)
        return cls(counts | dict.fromkeys(services, 1), newcomers=max(1, total // 60), breadth=breadth)


SMALL: Final = Population(
    {
        "engineer": 17, "support": 5, "analyst": 4, "operations": 4, "manager": 4,
        "content-moderation": 3, "knowledge-base": 3, "support-triage": 3, "mail-assistant": 3,
        "research-browser": 2, "engineering-assistant": 3, "data-pipeline": 2,
        "backup": 1, "iam": 1, "publisher": 1,
    }
)  # fmt: skip


@dataclass(frozen=True)
class Principal:
    """One who acts. `pace` and `bulk` are its habits' personal scale (1 = its role's median)."""

    id: str
    role: Role
    owner: str | None = None
    joins: timedelta = timedelta(0)
    pace: float = 1.0
    bulk: float = 1.0
    shift: timedelta = timedelta(0)

    @property
    def kind(self) -> ActorKind:
        """Agent, human or service."""
        return self.role.kind

    def actor(self, session: str | None = None, on_behalf_of: str | None = None) -> Actor:
        """As it stands in an event."""
        return Actor(self.id, self.kind, self.role.name, on_behalf_of, session)


@dataclass(frozen=True)
class Shelf:
    """What one principal uses of one domain, its favourites first, with cumulative Zipf weights."""

    items: tuple[Resource, ...]
    weights: tuple[float, ...]

    def pick(self, rng: random.Random) -> Resource:
        """A resource, the favourites far more often than the rest."""
        return rng.choices(self.items, cum_weights=self.weights)[0]


@dataclass(frozen=True)
class World:
    """The cast and the catalogue, with the seed that all streams come from."""

    seed: int
    principals: tuple[Principal, ...]
    resources: tuple[Resource, ...]
    _shelves: dict[tuple[str, str], Shelf] = field(default_factory=dict, compare=False, repr=False)

    def stream(self, *names: str) -> random.Random:
        """The random stream of these names."""
        return stream(self.seed, *names)

    @cached_property
    def by_id(self) -> dict[str, Principal]:
        """Principals by id."""
        return {who.id: who for who in self.principals}

    @cached_property
    def by_role(self) -> dict[str, tuple[Principal, ...]]:
        """Principals by the name of their role, in order; every role is present."""
        return {role.name: tuple(who for who in self.principals if who.role is role) for role in ROLES}

    def domain(self, name: str) -> tuple[Resource, ...]:
        """The resources of a domain, in the order of the catalogue."""
        return tuple(item for item in self.resources if item.domain == name)

    def shelf(self, who: Principal, domain: str) -> Shelf:
        """What `who` uses of a domain: two thirds of it, in an order near to its peers' but its own."""
        key = (who.id, domain)
        if key not in self._shelves:
            rng = self.stream("shelf", *key)
            items = self.domain(domain)
            liking = {item.uri: place + rng.normalvariate(0.0, 6.0) for place, item in enumerate(items)}
            used = sorted(items, key=lambda item: liking[item.uri])[: max(1, (2 * len(items) + 2) // 3)]
            weights = accumulate((place + 1) ** -1.1 for place in range(len(used)))
            self._shelves[key] = Shelf(tuple(used), tuple(weights))
        return self._shelves[key]

    def mailbox(self, owner: str) -> Resource:
        """A person's mailbox; `records` is how many messages it holds."""
        size = round(lognormal(self.stream("mailbox", owner), 5_200, 0.25))
        return Resource(f"mail://{owner}/inbox", "mailbox", "confidential", "mail", 36_000, size)

    def hire(self, role: str, name: str, joins: timedelta = timedelta(0)) -> "World":
        """The same company with one principal more; nobody else's events change."""
        newcomer = _principal(self.seed, _ROLE[role], name, self.by_role, joins)
        return World(self.seed, (*self.principals, newcomer), self.resources)


def build_world(seed: int, population: Population = SMALL) -> World:
    """The company of this seed."""
    by_role: dict[str, tuple[Principal, ...]] = {}
    for block, role in enumerate(ROLES):
        count = population.counts.get(role.name, 0)
        joins = [timedelta(0)] * count
        if role.name == "support" and count > population.newcomers:
            for nth in range(population.newcomers):
                joins[-1 - nth] = timedelta(days=2 + nth % 3)
        members = (_principal(seed, role, _name(role, block, n), by_role, joins[n]) for n in range(count))
        by_role[role.name] = tuple(members)
    everybody = tuple(who for members in by_role.values() for who in members)
    return World(seed, everybody, resources(population.breadth))


def _principal(
    seed: int, role: Role, name: str, by_role: Mapping[str, tuple[Principal, ...]], joins: timedelta
) -> Principal:
    rng = stream(seed, "traits", name)
    masters = by_role.get(role.serves, ())
    number = int(name.rpartition("-")[2]) if role.kind == "agent" and name[-1].isdigit() else 1
    return Principal(
        id=name,
        role=role,
        owner=masters[(number - 1) % len(masters)].id if masters else None,
        joins=joins,
        pace=lognormal(rng, 1.0, 0.25),
        bulk=lognormal(rng, 1.0, 0.4),
        shift=timedelta(minutes=rng.choice((-60, -30, 0, 0, 30, 60))),
    )


def _name(role: Role, block: int, n: int) -> str:
    if role.kind == "human":
        place = block * 320 + n % 320
        last = _LAST[(place * 7 + place // len(_FIRST)) % len(_LAST)]
        first = _FIRST[(place + 8 * block) % len(_FIRST)]
        return f"{first}.{last}" + (str(n // 320 + 1) if n >= 320 else "")
    return f"{role.name}-agent-{n + 1:02}" if role.kind == "agent" else f"{role.name}-service"
