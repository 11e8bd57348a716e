"""What a tool call was told and what came of it: its target, where data went, whom it let in."""

import ipaddress
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from detector.events import Change, Destination, Named, NamedKind, Permission, Target, Zone
from detector.extraction import named_in_arguments
from detector.extraction.lexicon import ActClass
from detector.formats.otel.contents import fingerprint
from detector.formats.otel.spans import Span

_RAW: Final = msgspec.json.Decoder(list[msgspec.Raw])
_TO: Final[Mapping[str, frozenset[NamedKind]]] = {
    "recipient": frozenset({"email", "phone", "channel"}),
    "account": frozenset({"account"}),
    "host": frozenset({"host"}),
}
_ADDRESSING: Final[frozenset[ActClass]] = frozenset({"send", "pay", "share", "publish"})
_TAKES_AWAY: Final = re.compile(r"(?i)revoke|unshare|remove")
_PRIVILEGE: Final = ("permission", "permissions", "role", "access", "access_level", "privilege")
_ID: Final = re.compile(r"(?:^|[_-])(?i:id)$|(?<=[a-z0-9])I[dD]$")  # not the end of "said"
_WORD: Final = re.compile(r"\S{1,256}")
_ADDRESS: Final = re.compile(r"[0-9]|[0-9a-fA-F]*:")  # of IPv4 or IPv6, perhaps
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]{1,20}://")

_WHO: Final = ("enduser.id", "user.id", "gen_ai.agent.id", "gen_ai.agent.name")
_FROM: Final = re.compile(r"(?i)(?<![a-z])(?:from|sender|source)")

_THINGS: Final[Mapping[str, tuple[str, str]]] = {
    "invoke_agent": ("agent", "gen_ai.agent.name"),
    "create_agent": ("agent", "gen_ai.agent.name"),
    "retrieval": ("data", "gen_ai.data_source.id"),
}


class Payload(msgspec.Struct, frozen=True):
    """A call's arguments or its result.

    `size` is in bytes, `sha256` tells whether two were the same once they are gone, `fields` are those of
    arguments that are a JSON object.
    """

    text: str = ""
    size: int = 0
    sha256: str = ""
    fields: dict[str, Any] = {}

    @classmethod
    def of(cls, attributes: Mapping[str, Any], key: str) -> "Payload":
        """The payload under an attribute, JSON in a text or an attribute with fields."""
        value = attributes.get(key)
        if value is None or value == "":
            return cls()
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        return cls(text, *fingerprint(text), _fields(value) if key.endswith("arguments") else {})

    def named(self) -> tuple[Named, ...]:
        """What it names, as arguments."""
        return named_in_arguments(self.fields or self.text) if self.size else ()


def _fields(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value) if value.lstrip()[:1] == "{" else None
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            return {}
    return value if isinstance(value, dict) else {}


def records(result: str) -> int:
    """How many records a result lists: a JSON list's items, or lines that begin with a dash; else 0."""
    if result[:1] == "[":
        try:
            return len(_RAW.decode(result))
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            return 0
    return result.count("\n- ") + 1 if result.startswith("- ") else 0


def destination(span: Span, operation: str, act: ActClass | None, named: Sequence[Named]) -> Destination | None:
    """Whom or where a call's own arguments send things to; for a model or a reading tool, the host it reached.

    Of several recipients it is the strangest: not the sender, not of the user's or the agent's own domain, of
    a domain that the fewest share, the last of those that are alike. The zone is told only where an address
    tells it: loopback and private networks are internal.
    """
    found: dict[str, str] = {}
    alone = [item for item in named if item.alone]
    for field, kinds in _TO.items() if alone else ():
        among = [item for item in alone if item.kind in kinds] if field == "host" or act is not None else ()
        if among:
            found[field] = among[0].value if len(among) == 1 else _strangest(among, _own_domains(span, named))
    if act in _ADDRESSING and not found:
        name = next((item.value for item in alone if item.kind == "name"), "")
        found = {"recipient": name} if name else {}
    if "host" not in found and operation != "execute_tool":
        host = span.attributes.get("server.address")
        if isinstance(host, str) and host:
            found["host"] = host.lower()[:512]
    if not found:
        return None
    return Destination(**found, zone=_zone(found.get("host", "")))


def reaches_out(named: Iterable[Named]) -> bool:
    """Whether a call's arguments name an address to fetch: whatever it is told then leaves, a query or a path."""
    return any(item.alone and item.kind in {"url", "host"} for item in named)


def _own_domains(span: Span, named: Iterable[Named]) -> set[str]:
    told = [str(span.attributes.get(key) or "").lower() for key in _WHO]
    told += [item.value for item in named if item.kind == "email" and item.alone and _is_sender(item.key)]
    return {_domain(address) for address in told if "@" in address}


def _strangest(among: Sequence[Named], own: Collection[str]) -> str:
    shared: dict[str, int] = {}
    for value in {item.value for item in among}:
        domain = _domain(value)
        shared[domain] = shared.get(domain, 0) + 1

    def strangeness(place: tuple[int, Named]) -> tuple[bool, bool, int, bool, int]:
        index, item = place
        domain = _domain(item.value)
        foreign = domain not in own if item.kind == "email" else item.kind == "host" and _zone(domain) != "internal"
        return not _is_sender(item.key), foreign, -shared[domain], item.kind == "email", index

    return max(enumerate(among), key=strangeness)[1].value


@lru_cache(maxsize=4096)
def _is_id(key: str) -> bool:
    return _ID.search(key) is not None


@lru_cache(maxsize=4096)
def _is_sender(key: str) -> bool:
    """Whether what stands under a key is whence something comes."""
    return _FROM.search(key) is not None


def _domain(address: str) -> str:
    return address.rpartition("@")[2]


def target(span: Span, operation: str, action: str, called: Payload, named: Sequence[Named]) -> Target:
    """What was acted on: a file, an address or an id among the arguments, else the tool, agent or model."""
    for item in named:
        if item.alone and item.kind == "path":
            return Target(item.value, "file")
        if item.alone and item.kind == "url":
            return Target(item.value if _SCHEME.match(item.value) else f"https://{item.value}", "url")
    for key, value in called.fields.items():
        if _is_id(key) and isinstance(value, str | int) and _WORD.fullmatch(str(value)):
            thing = key[:-2].rstrip("_-").lower()
            return Target(f"{thing or action}:{value}"[:512], thing[:512])
    uri = span.attributes.get("mcp.resource.uri")
    if isinstance(uri, str) and uri:
        return Target(uri[:4096], "resource")
    if operation == "execute_tool":
        return Target(f"tool://{action}", "tool")
    kind, key = _THINGS.get(operation, ("model", "gen_ai.request.model"))
    name = span.attributes.get(key)
    return Target(f"{kind}://{name}"[:4096], kind) if isinstance(name, str) and name else Target(f"{kind}://", kind)


def permission(action: str, named: Iterable[Named], fields: Mapping[str, Any]) -> Permission | None:
    """The grant or revocation that a sharing call makes when it names one address, None when that is not plain."""
    to = [item.value for item in named if item.alone and item.kind == "email"]
    if len(to) != 1:
        return None
    level = next((fields[key] for key in _PRIVILEGE if isinstance(fields.get(key), str)), "")
    change: Change = "revoke" if _TAKES_AWAY.search(action) else "grant"
    return Permission(change=change, grantee=to[0], audience="user", audience_count=1, privilege=level[:512])


def _zone(host: str) -> Zone:
    if host == "localhost":
        return "internal"
    if not _ADDRESS.match(host):
        return "unknown"
    try:
        return "internal" if ipaddress.ip_address(host).is_private else "unknown"
    except ValueError:
        return "unknown"
