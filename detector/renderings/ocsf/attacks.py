"""Tags of MITRE's lists as OCSF `attack` objects; the names and tactics of the techniques that are in use."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple


class _Technique(NamedTuple):
    name: str
    tactic: str
    """The first of those it serves, as the detectors mean it."""


# A tag's list and version -> the version as OCSF's `attack.version` says it.
VERSIONS: Final[Mapping[str, str]] = {"ATTACK-18": "18", "ATLAS-5": "5"}
# ATT&CK v18 and ATLAS 5, by their ids.
_TACTICS: Final[Mapping[str, str]] = {
    "TA0001": "Initial Access",
    "TA0003": "Persistence",
    "TA0004": "Privilege Escalation",
    "TA0005": "Defense Evasion",
    "TA0006": "Credential Access",
    "TA0008": "Lateral Movement",
    "TA0009": "Collection",
    "TA0010": "Exfiltration",
    "TA0040": "Impact",
    "AML.TA0005": "Execution",
    "AML.TA0010": "Exfiltration",
    "AML.TA0011": "Impact",
}
TECHNIQUES: Final[Mapping[str, _Technique]] = {
    "T1070": _Technique("Indicator Removal", "TA0005"),
    "T1070.008": _Technique("Clear Mailbox Data", "TA0005"),
    "T1078": _Technique("Valid Accounts", "TA0001"),
    "T1078.004": _Technique("Cloud Accounts", "TA0001"),
    "T1098": _Technique("Account Manipulation", "TA0003"),
    "T1098.003": _Technique("Additional Cloud Roles", "TA0003"),
    "T1222": _Technique("File and Directory Permissions Modification", "TA0005"),
    "T1485": _Technique("Data Destruction", "TA0040"),
    "T1530": _Technique("Data from Cloud Storage", "TA0009"),
    "T1531": _Technique("Account Access Removal", "TA0040"),
    "T1537": _Technique("Transfer Data to Cloud Account", "TA0010"),
    "T1548": _Technique("Abuse Elevation Control Mechanism", "TA0004"),
    "T1548.005": _Technique("Temporary Elevated Cloud Access", "TA0004"),
    "T1550": _Technique("Use Alternate Authentication Material", "TA0008"),
    "T1550.001": _Technique("Application Access Token", "TA0008"),
    "T1552": _Technique("Unsecured Credentials", "TA0006"),
    "T1552.005": _Technique("Cloud Instance Metadata API", "TA0006"),
    "T1555": _Technique("Credentials from Password Stores", "TA0006"),
    "T1555.006": _Technique("Cloud Secrets Management Stores", "TA0006"),
    "T1562": _Technique("Impair Defenses", "TA0005"),
    "T1567": _Technique("Exfiltration Over Web Service", "TA0010"),
    "T1567.002": _Technique("Exfiltration to Cloud Storage", "TA0010"),
    "AML.T0051": _Technique("LLM Prompt Injection", "AML.TA0005"),
    "AML.T0051.001": _Technique("Indirect", "AML.TA0005"),
    "AML.T0053": _Technique("AI Agent Tool Invocation", "AML.TA0005"),
    "AML.T0086": _Technique("Exfiltration via AI Agent Tool Invocation", "AML.TA0010"),
    "AML.T0101": _Technique("Data Destruction via AI Agent Tool Invocation", "AML.TA0011"),
}


def attacks(tags: Iterable[str]) -> list[dict[str, Any]]:
    """The `attack` objects of the tags that are techniques of MITRE's lists, in their order.

    A technique that is not in the table has its id and no name.

    >>> [attack] = attacks(["OWASP-ASI-2026:ASI02", "ATTACK-18:T1567.002"])
    >>> attack["technique"]["uid"], attack["sub_technique"]["name"], attack["tactic"]["name"], attack["version"]
    ('T1567', 'Exfiltration to Cloud Storage', 'Exfiltration', '18')
    """
    found = []
    for tag in tags:
        source, _, uid = tag.partition(":")
        if source in VERSIONS:
            found.append(_attack(uid, VERSIONS[source]))
    return found


def lists(tags: Iterable[str]) -> list[dict[str, Any]]:
    """The tags of all other lists (OWASP's) as OCSF `tags`: the list, and what it is of it.

    >>> lists(["OWASP-ASI-2026:ASI02", "ATTACK-18:T1567", "OWASP-ASI-2026:ASI10"])
    [{'name': 'OWASP-ASI-2026', 'values': ['ASI02', 'ASI10']}]
    """
    found: dict[str, list[str]] = {}
    for tag in tags:
        source, _, uid = tag.partition(":")
        if source not in VERSIONS:
            found.setdefault(source, []).append(uid)
    return [{"name": source, "values": uids} for source, uids in found.items()]


def _attack(uid: str, version: str) -> dict[str, Any]:
    number = uid.removeprefix("AML.")
    prefix = uid[: len(uid) - len(number)]
    parent, _, sub = number.partition(".")
    attack: dict[str, Any] = {"version": version}
    known = TECHNIQUES.get(uid)
    if known is not None:
        attack["tactic"] = {"uid": known.tactic, "name": _TACTICS[known.tactic]}
    attack["technique"] = _named(prefix + parent)
    if sub:
        attack["sub_technique"] = _named(uid)
    return attack


def _named(uid: str) -> dict[str, Any]:
    known = TECHNIQUES.get(uid)
    return {"uid": uid} if known is None else {"uid": uid, "name": known.name}
