"""Destinations by the operator's word: which are the house's own, which are approved, and by which rule."""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final, Literal, NamedTuple

import msgspec
from pydantic import BaseModel, ConfigDict, Field, field_validator

from detector.endpoints import places, segment
from detector.events import Destination, Event, Permission, Zone

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

KNOWN_MOST: Final = 10_000
# What is public stays public: a list says whose a place is, not who can read it. What is internal needs no word.
DOUBTFUL: Final[frozenset[Zone]] = frozenset({"unknown", "external", "approved"})
# How a format says that a permission lets in somebody of another house: by an account, or by an address's domain.
_ACCOUNT: Final = "grantee_account"
_OUTSIDE: Final = "grantee_outside"

_SEVERAL: Final = re.compile(r"[,;\s]+")
_PARTS: Final = re.compile(r"([@/,;\s])")
_ON_HOST: Final = re.compile(r"(?:[^\s@,;:/\\?#<>()\[\]\"]+@)?([\w.-]+)")
_WITH_PORT: Final = re.compile(r"\[([0-9a-f:.]+)\](?::\d{1,5})?|([\w-]+(?:\.[\w-]+)+)\.?:\d{1,5}")


class Places:
    """A list of destinations, taken apart once: hosts, suffixes, networks and patterns.

    `.corp.example` is a suffix (with `corp.example` itself and the addresses `ann@corp.example` of both),
    `10.2.0.0/16` a network, `s3://team-*` and `*@corp.example` are patterns; all else is a name. Upper and lower
    case are the same, and so is a host with its port or with a last dot. No sign of a pattern stands for what
    parts an address (`@`, `/`, a comma, a semicolon, a space); `*` alone names every place.

    Raises:
        ValueError: A rule that looks like a network is none.
    """

    def __init__(self, rules: Iterable[str]) -> None:
        self._names: dict[str, str] = {}
        self._suffixes: dict[str, str] = {}
        self._networks: list[tuple[Network, str]] = []
        self._patterns: list[tuple[list[str], str]] = []
        self._every: str | None = None
        for rule in rules:
            lower = rule.lower()
            if _is_network(rule):
                self._networks.append((_network(rule), rule))
            elif rule.startswith("."):
                self._suffixes.setdefault(lower[1:].rstrip("."), rule)
            elif rule == "*":
                self._every = rule
            elif any(sign in rule for sign in "*?["):
                self._patterns.append((_PARTS.split(lower), rule))
            else:
                self._names.setdefault(_bare(lower) if lower.endswith(".") else lower, rule)

    def find(self, name: str) -> str | None:
        """The rule that names this host, address, account, recipient or bucket; None if there is none.

        Of several in one text (`ann@corp.example, bob@corp.example`) each must be named; told is the first's rule.

        >>> Places([".corp.example", "10.2.0.0/16", "s3://team-*"]).find("mail.Corp.example")
        '.corp.example'
        """
        lower = name.lower()
        rules = [self._find(part) for part in _SEVERAL.split(lower) if part]
        if rules and None not in rules:
            return rules[0]
        return self._names.get(lower) or self._pattern_of(lower)  # a rule may itself have spaces

    def _find(self, written: str) -> str | None:
        name = _bare(written)
        rule = self._names.get(written) or self._names.get(name) or self._suffix_of(name)
        if rule is None and self._networks:
            rule = self._network_of(name)
        return rule or self._pattern_of(name) or self._every

    def _suffix_of(self, name: str) -> str | None:
        match = _ON_HOST.fullmatch(name) if self._suffixes else None
        labels = match[1].split(".") if match else []
        tails = (".".join(labels[start:]) for start in range(len(labels)))
        return next((self._suffixes[tail] for tail in tails if tail in self._suffixes), None)

    def _pattern_of(self, name: str) -> str | None:
        parts = _PARTS.split(name) if self._patterns else []
        return next((rule for pattern, rule in self._patterns if _fits(parts, pattern)), None)

    def _network_of(self, name: str) -> str | None:
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return None
        return next((rule for network, rule in self._networks if address in network), None)


def _bare(name: str) -> str:
    """A host without its port and its last dot; anything else as it is."""
    match = _WITH_PORT.fullmatch(name)
    return name.removesuffix(".") if match is None else match[1] or match[2]


def _fits(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    return len(parts) == len(pattern) and all(map(fnmatchcase, parts, pattern))


@lru_cache(maxsize=1024)
def listed(rules: tuple[str, ...]) -> Places:
    """The places of a list, made once for each list."""
    return Places(rules)


def _is_network(rule: str) -> bool:
    address, slash, bits = rule.partition("/")
    return bool(slash) and bits.isdigit() and (":" in address or address.replace(".", "").isdigit())


def _network(rule: str) -> Network:
    try:
        return ipaddress.ip_network(rule)
    except ValueError as error:
        raise ValueError(f"{rule} is no network: {error}") from error


def _check(rule: str) -> None:
    """Refuse a rule that could never fit, or that would fit everything."""
    scheme, address, rest = rule.partition("://")
    if address and scheme.lower() in {"http", "https"}:
        raise ValueError(f"{rule} is a web address: write its host alone")
    if address and "/" in rest:
        raise ValueError(f"{rule} is a part of a bucket: write `{scheme}://{rest.partition('/')[0]}`, the whole of it")
    if not rule.strip("*.") or (_is_network(rule) and _network(rule).prefixlen == 0):
        raise ValueError(f"`{rule}` names every place there is: name those that you know")


class DestinationSettings(BaseModel):
    """Whose the places are that data goes to, where the operator knows better than the source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    internal: tuple[str, ...] = Field(
        (),
        description="Places of the house, judged as internal: hosts, suffixes (`.corp.example`), networks "
        "(`10.2.0.0/16`), patterns (`s3://corp-*`, `*@corp.example`).",
    )
    approved: tuple[str, ...] = Field(
        (),
        description="Other places that data may go to, judged as approved; what `new_endpoint` says of them is "
        "suppressed. An event counts if all that it reached is on one of the two lists; what is public stays so.",
    )

    external: tuple[str, ...] = Field(
        (), description="Places of others, judged as external where the source does not know."
    )
    public: tuple[str, ...] = Field(
        (),
        description="Places that anybody can read (`paste.example`), judged as public where the source does not know.",
    )

    @field_validator("internal", "approved", "external", "public")
    @classmethod
    def _each_rule_can_fit(cls, rules: tuple[str, ...]) -> tuple[str, ...]:
        for rule in rules:
            _check(rule)
        Places(rules)
        return rules


class Vouched(NamedTuple):
    """A place that the operator knows: the zone it lies in, and the rule that says so."""

    zone: Literal["internal", "approved"]
    rule: str


class Zones:
    """What the operator's lists say of where events went. Does nothing, and costs nothing, without lists.

    Args:
        settings: The lists; a place that is both internal and approved is internal.
    """

    def __init__(self, settings: DestinationSettings | None = None) -> None:
        self._settings = settings or DestinationSettings()
        self._internal = Places(self._settings.internal)
        self._approved = Places(self._settings.approved)
        self._external = Places(self._settings.external)
        self._public = Places(self._settings.public)
        self._idle = not (self._settings.internal or self._settings.approved)
        self.known = bool(self._settings.internal or self._settings.external or self._settings.public)
        """Whether `fill` can have anything to say."""
        self._outside: dict[str, Zone | None] = {}
        self._known: dict[str, Vouched | None] = {}

    def resolve(self, event: Event) -> tuple[Event, Zone | None]:
        """The event with the zone that the lists give its destination; itself if they say nothing new.

        The lists can vouch for a place, they never cast doubt on one.

        Returns:
            The event, and the zone that its source told if the lists approve of where it went, else None: by
            the one it is judged how much leaves the house, by the other whether a place is news.
        """
        if self._idle:
            return event, None
        if event.permission is not None:
            event = self._of_the_house(event, event.permission)
        to = event.destination
        told: Zone = to.zone if to is not None else "unknown" if event.kind == "transfer" else "internal"
        if told not in DOUBTFUL:
            return event, None
        found = {None if known is None else known.zone for known in map(self.vouched, places(event))}
        if not found or None in found:
            return event, None
        zone: Zone = "internal" if found == {"internal"} else "approved"
        if zone != told:
            event = msgspec.structs.replace(event, destination=msgspec.structs.replace(to or Destination(), zone=zone))
        return event, told if zone == "approved" else None

    def _of_the_house(self, event: Event, permission: Permission) -> Event:
        """The event without the word that a stranger was let in, if the lists vouch for whom."""
        account = event.attributes.get(_ACCOUNT)
        whom = permission.grantee if event.attributes.get(_OUTSIDE) is True else None
        whom = account if isinstance(account, str) else whom
        if not whom or self.vouched(whom) is None:
            return event
        kept = {name: value for name, value in event.attributes.items() if name not in {_ACCOUNT, _OUTSIDE}}
        return msgspec.structs.replace(event, attributes=kept)

    def fill(self, event: Event) -> Event:
        """The event with the zone of its destination, where its source does not know it; itself if it stays unknown.

        The worst that is known of any place reached counts, and it is internal if all of them are. Approval is no
        zone of a place but a word about going there: that is left to `resolve`.
        """
        to = event.destination
        if (to.zone if to is not None else "unknown" if event.kind == "transfer" else "internal") != "unknown":
            return event
        found = {self._zone_of(place) for place in places(event)}
        zone: Zone | None = "public" if "public" in found else "external" if "external" in found else None
        zone = "internal" if found == {"internal"} else zone
        if zone is None:
            return event
        return msgspec.structs.replace(event, destination=msgspec.structs.replace(to or Destination(), zone=zone))

    def _zone_of(self, place: str) -> Zone | None:
        if place not in self._outside:
            if len(self._outside) >= KNOWN_MOST:
                self._outside.clear()
            lists: tuple[tuple[Zone, Places], ...] = (
                ("internal", self._internal),
                ("public", self._public),
                ("external", self._external),
            )
            self._outside[place] = next((zone for zone, listed in lists if listed.find(place) is not None), None)
        return self._outside[place]

    def approved(self, event: Event, endpoint: str) -> str | None:
        """The rule that approves an endpoint (as `detector.endpoints` names it) which the event reached.

        None if there is none, or if the event reached any place that is on neither list: only the strangest
        endpoint of an event is told, and an approved one must not hide another.
        """
        if not self._settings.approved:
            return None
        reached = list(places(event))
        if any(self.vouched(place) is None for place in reached):
            return None
        rules = (self._approved.find(place) for place in reached if _is_at(endpoint, place))
        return next((rule for rule in rules if rule is not None), None)

    def vouched(self, place: str) -> Vouched | None:
        """What the lists say of a host, address, account, recipient or bucket; None if it is on neither."""
        if place not in self._known:
            if len(self._known) >= KNOWN_MOST:
                self._known.clear()
            self._known[place] = self._look_up(place)
        return self._known[place]

    def _look_up(self, place: str) -> Vouched | None:
        own = self._internal.find(place)
        if own is not None:
            return Vouched("internal", own)
        approved = self._approved.find(place)
        return None if approved is None else Vouched("approved", approved)


def _is_at(endpoint: str, place: str) -> bool:
    """Whether an endpoint is the place, a route of that host, or the network segment of that address."""
    name, there = endpoint.lower(), place.lower()
    return name in {there, segment(place)} or name.startswith(f"{there}/")
