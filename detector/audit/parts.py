"""What several questions say alike: an act in words, the columns of one, how a span is asked for."""

from collections.abc import Mapping
from typing import Any, Final

from detector.wording import plural, size

ACT: Final = (
    *("time", "principal", "actor_id", "actor_kind", "kind", "action", "outcome", "verdict", "target_uri"),
    *("target_sensitivity", "destination", "destination_zone", "bytes_in", "bytes_out", "records"),
    *("session", "thread", "id", "topic", "partition", "offset"),
)
"""The columns of one event in answers."""


def act(row: Mapping[str, Any]) -> str:
    """What an event did, in a few words with its numbers.

    >>> act(
    ...     {
    ...         "kind": "access",
    ...         "action": "query",
    ...         "target_uri": "db://a",
    ...         "target_sensitivity": "restricted",
    ...         "destination": "",
    ...         "destination_zone": "unknown",
    ...         "bytes_in": 2000,
    ...         "bytes_out": 0,
    ...         "records": 3,
    ...         "permission_change": "",
    ...         "outcome": "success",
    ...         "verdict": "scored",
    ...         "principal": "p",
    ...         "actor_id": "p",
    ...     }
    ... )
    'access query db://a (restricted): 3 records, 2 kB in'
    """
    words = [row["kind"], row["action"], row["target_uri"]]
    if row["target_sensitivity"] not in {"unknown", "public"}:
        words.append(f"({row['target_sensitivity']})")
    if row["permission_change"]:
        words.append(_permission(row))
    if row["destination"]:
        words.append(f"to {row['destination']} ({row['destination_zone']})")
    volume = [plural(row["records"], "record")] if row["records"] else []
    volume += [f"{size(row[f'bytes_{way}'])} {way}" for way in ("in", "out") if row[f"bytes_{way}"]]
    text = " ".join(word for word in words if word) + (f": {', '.join(volume)}" if volume else "")
    by = f" by {row['actor_id']}" if row["actor_id"] != row["principal"] else ""
    outcome = "" if row["outcome"] == "success" else f" - {row['outcome']}"
    verdict = "" if row["verdict"] == "scored" else f" [{row['verdict']}]"
    return text + by + outcome + verdict


def _permission(row: Mapping[str, Any]) -> str:
    count = row["permission_audience_count"]
    people = f", {plural(count, 'person', 'people')}" if count is not None else ""
    what = " of ".join(part for part in (row["permission_change"], row["permission_privilege"]) if part)
    whom = row["permission_grantee"] or row["permission_audience"]
    return f"({what} for {whom}{people})"
