"""What an authentication or a call says of the identity behind it, by the attributes that formats keep.

| attribute | meaning |
| --- | --- |
| `anonymous` | nobody proved who they are, and were let in or not |
| `outside` | the identity belongs to another house |
| `alarm` | the source itself calls this suspicious |
| `root` | the account that may do everything and belongs to nobody |
| `second_factor` | False: a person signed on by a password alone |
| `unusual` | what the source finds unusual about a sign-on, with commas between |
| `risk`, `threat_suspected` | how risky the source finds it ("high"); whether it suspects a threat ("true") |
| `remote_command` | how a running machine or workload was entered: "exec", "StartSession" |
| `outside_code` | whose code a pipeline ran, if not its own house's |
| `impersonated_groups` | in whose name a request was made |
| `user_agent`, `source_ip` | with which client and from where |
"""

import ipaddress
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from detector.events import Event
from detector.severity import Severity

# Whoever impersonates one of these groups has the whole cluster.
_MASTERS: Final = ("system:masters", "system:nodes", "system:kube-controller-manager")

# Distributions and tools made for breaking in, as they name themselves.
_BREAKERS: Final = re.compile(r"(?i)\b(kali|parrot|pentoo|blackarch|pacu|cloudfox|scoutsuite|stratus-red-team)\b")

# Desktops: where an instance's own credentials have no business.
_DESKTOP: Final = re.compile(r"(?i)\b(darwin|macos|mac os x)\b")
_INSTANCE: Final = re.compile(r"i-(?:[0-9a-f]{8}|[0-9a-f]{17})")

_UNUSUAL_LEAST: Final = 2

_TELLING: Final = frozenset(
    (
        *("anonymous", "alarm", "root", "second_factor", "unusual", "risk", "threat_suspected", "remote_command"),
        *("outside_code", "impersonated_groups"),
    )
)
ATTRIBUTES: Final = _TELLING | {"user_agent", "source_ip"}
"""Without any of these an event says nothing of its identity."""


class Sign(NamedTuple):
    """One thing that is strange about who acted; `habit` names what it may be a habit of, "" if never."""

    rule: str
    severity: Severity
    why: str
    habit: str = ""


def signs(event: Event) -> Iterator[Sign]:
    """What is strange about an event's identity, whatever its past."""
    found = event.attributes
    if not _TELLING.isdisjoint(found):
        yield from _told(event)
    if "user_agent" in found:
        yield from _out_of_place(event)


def _told(event: Event) -> Iterator[Sign]:
    """What the source itself tells."""
    found = event.attributes
    success = event.outcome == "success"
    where = (event.target.uri if event.target else event.action).lower()
    if found.get("anonymous") is True and success:
        yield Sign("anonymous", "SEV3", "got in without saying who it is", f"anonymous {container(where)}")
    if found.get("alarm") is True and event.outcome != "denied":
        yield Sign("alarm", "SEV3", "did or reported what its source calls suspicious", f"alarm {event.action} {where}")
    if found.get("root") is True and (success or event.kind == "auth"):
        tried = "" if success else ", and failed"
        # Anybody can fail at its door every day; whoever gets in is told each time.
        habit = "" if success and event.kind == "auth" else f"root {event.action}"
        yield Sign("root_used", "SEV3", f"used the account that may do everything{tried}", habit)
    if found.get("second_factor") is False and success:
        yield Sign("one_factor", "SEV3", "signed on by a password alone", "one factor")
    if (entered := found.get("remote_command")) and success and event.actor.kind != "service":
        yield Sign("entered", "SEV3", f"entered what was running ({entered})", f"entered {event.action}")
    if (code := found.get("outside_code")) and success:
        yield Sign("outside_code", "SEV3", f"ran the code of {code} with its own rights", f"code {where}")
    groups = found.get("impersonated_groups")
    masters = [name for name in groups if name in _MASTERS] if isinstance(groups, list) else []
    if masters and success:
        yield Sign("impersonated", "SEV3", f"acted in the name of {', '.join(masters)}", "impersonated")
    yield from _unusual(event, where)


def container(uri: str) -> str:
    """What holds a target: its bucket, its namespace in a cluster, its host.

    >>> container("s3://www/img/a.png"), container("k8s://prod/web/pods/a"), container("arn:aws:s3:::www/a.png")
    ('s3://www', 'k8s://prod/web', 'arn:aws:s3:::www')
    """
    scheme, mark, rest = uri.partition("://")
    if not mark:
        return uri.partition("/")[0]
    return f"{scheme}://{'/'.join(rest.split('/')[: 2 if scheme == 'k8s' else 1])}"


def _unusual(event: Event, where: str) -> Iterator[Sign]:
    """Several unusual things at once, one at the door of the administrators, or what the source finds risky."""
    told = str(event.attributes.get("unusual") or "")
    names = [name for name in told.split(", ") if name]
    risky = event.attributes.get("risk") == "high" or event.attributes.get("threat_suspected") == "true"
    least = 1 if "admin" in where or "admin" in event.action else _UNUSUAL_LEAST
    if event.kind != "auth" or not (risky or len(names) >= least):
        return
    words = [*names, *(["risk high"] if event.attributes.get("risk") == "high" else [])]
    words += ["threat suspected"] if event.attributes.get("threat_suspected") == "true" else []
    severity: Severity = "SEV3" if event.outcome == "success" else "SEV4"
    yield Sign("unusual_sign_on", severity, f"signed on in {len(words)} unusual ways ({', '.join(words)})")


def _out_of_place(event: Event) -> Iterator[Sign]:
    agent = event.attributes.get("user_agent")
    broken, desktop = _named(agent) if isinstance(agent, str) else ("", "")
    if broken:
        yield Sign("out_of_place", "SEV2", f"came with {broken}, made for breaking in")
    if desktop and _INSTANCE.fullmatch(session := event.actor.session or ""):
        what = f"used the credentials of instance {session} from a desktop ({desktop})"
        yield Sign("out_of_place", "SEV2", what, f"desktop {session}")


@lru_cache(maxsize=4096)
def _named(agent: str) -> tuple[str, str]:
    """What a user agent names that is made for breaking in, and the desktop that it runs on; "" for neither."""
    broken, desktop = _BREAKERS.search(agent), _DESKTOP.search(agent)
    return broken[0] if broken else "", desktop[0] if desktop else ""


def network(event: Event) -> str | None:
    """The network that a machine's credentials were used from (IPv4 /16, IPv6 /32).

    None where that says nothing: people move about, services call for others, private addresses repeat, and what
    is not an address is a service's name.
    """
    if event.actor.kind != "agent" or event.attributes.get("invoked_by"):
        return None
    address = event.attributes.get("source_ip")
    return _network(address) if isinstance(address, str) else None


@lru_cache(maxsize=16384)
def _network(address: str) -> str | None:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    if not parsed.is_global:
        return None
    return str(ipaddress.ip_network((parsed, 16 if parsed.version == 4 else 32), strict=False))


def client(event: Event) -> str:
    """The program that a call came with, without its version: "aws-cli", "boto3", "kubectl".

    >>> from detector.events import Actor
    >>> from detector.detectors.base import sample
    >>> client(sample(attributes={"user_agent": "[aws-cli/1.18.136 Python/3.8.5 Darwin/19.6]"}))
    'aws-cli'
    """
    agent = event.attributes.get("user_agent")
    return _client(agent) if isinstance(agent, str) else ""


@lru_cache(maxsize=4096)
def _client(agent: str) -> str:
    return re.split(r"[/\s(]", agent.strip("[ "), maxsplit=1)[0].lower()[:64]
