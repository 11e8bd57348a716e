"""What proves that the rows of an incident are as they were written: their links, verified again."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from detector.audit.answer import Table, iso, records, table
from detector.audit.incident import Incident
from detector.store.anchors import Anchors
from detector.store.client import Store
from detector.store.proof import Proof
from detector.store.verify import Verification
from detector.wording import number, plural

ROWS_MOST: Final = 2_000_000
"""Rows that are verified again for a report, at most: about ten seconds."""

LINKS: Final = ("chain", "first", "last", "links", "rows", "first_written", "last_written", "head")

_WRITTEN: Final = """
SELECT DISTINCT written_by, written_in
FROM
(
    SELECT written_by, written_in
    FROM events
    WHERE principal IN {principals:Array(String)} AND id IN {events:Array(String)}
        AND time >= {since:DateTime64(6, 'UTC')} AND time < {until:DateTime64(6, 'UTC')}
    UNION ALL
    SELECT written_by, written_in FROM findings WHERE id IN {findings:Array(String)}
    UNION ALL
    SELECT written_by, written_in FROM alerts WHERE id = {incident:String}
)
"""
_LINKS: Final = """
SELECT chain, min(sequence) AS first, max(sequence) AS last, count() AS links, sum(i.count) AS rows,
    min(written_at) AS first_written, max(written_at) AS last_written, argMax(link, sequence) AS head
FROM integrity AS i
WHERE (chain, sequence) IN {links:Array(Tuple(String, UInt64))}
GROUP BY chain
ORDER BY chain
"""
_TO_CHECK: Final = "SELECT sum(i.count) AS rows FROM integrity AS i WHERE written_at >= {since:DateTime64(6, 'UTC')}"


class Integrity(msgspec.Struct):
    """The proof: in words, and the links that cover the incident's rows. `sound` is None where nothing was verified."""

    words: str
    sound: bool | None
    links: Table


class Trusted(msgspec.Struct, frozen=True):
    """What an incident's rows are verified against, besides the store itself.

    Attributes:
        anchors: heads of chains that were kept outside of the store; None for none at hand.
        retention: days by table, as of `Verification`.
    """

    anchors: Anchors | None = None
    retention: Mapping[str, int | None] = {}


def integrity(
    store: Store,
    incident: Incident,
    trusted: Trusted | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Integrity:
    """Verify the rows of an incident, and all that was written after the first of them.

    Args:
        store: The event store.
        incident: Whose rows.
        trusted: What to verify them against.
        now: The time, for what is past its retention.
    """
    bound = {
        **incident.span.bound,
        "principals": sorted({event["principal"] for event in incident.events}),
        "events": [event["id"] for event in incident.events],
        "findings": [finding["id"] for finding in incident.findings],
        "incident": incident.alert["id"],
    }
    written = [(str(by), int(at)) for by, at in store.client.query(_WRITTEN, parameters=bound).result_rows]
    covered = [link for link in written if link[0]]
    found: list[dict[str, Any]] = records(store.client.query(_LINKS, parameters={"links": covered})) if covered else []
    links = table("links", "Links of the integrity chains that cover its rows", found, LINKS)
    if not found:
        return Integrity("No link of an integrity chain covers these rows: nothing proves them unaltered.", None, links)
    since = min(row["first_written"] for row in found)
    rows = int(store.client.query(_TO_CHECK, parameters={"since": since}).result_rows[0][0])
    if rows > ROWS_MOST:
        words = f"Not verified here: {number(rows)} rows were written since. To verify them: {_command(since)}"
        return Integrity(words, None, links)
    trusted = trusted or Trusted()
    proof = Verification(
        store,
        int(now().timestamp() * 1e6),
        anchors=trusted.anchors,
        retention=trusted.retention,
        since=int((since - _SLACK).timestamp() * 1e6),
    ).run()
    if proof.sound:
        words = (
            f"Verified at {iso(now())}: {number(sum(proof.rows.values()))} rows under {plural(proof.links, 'link')} "
            f"written since are what their links say. {_against(proof, found, trusted.anchors, since)}"
        )
    else:
        first = proof.problems[0]
        words = f"Verification found {plural(proof.problem_count, 'problem')}, the first: {first.what}: {first.detail}"
    words += " Some rows are from before there were chains." if len(written) > len(covered) else ""
    return Integrity(words, proof.sound, links)


def _against(proof: Proof, links: list[dict[str, Any]], anchors: Anchors | None, since: datetime) -> str:
    """What the links themselves were compared with."""
    if anchors is None:
        return "This compares the store with itself; against anchors that were kept outside of it: " + _command(since)
    if not anchors.signed:
        return "There is no anchor yet that was kept outside of the store: this compares it with itself."
    words = f"The links are what {plural(proof.anchors, 'anchor')} kept outside of the store say."
    last = {row["chain"]: row["last_written"] for row in links}
    open_since = [tail.since for tail in proof.tails if tail.chain in last and last[tail.chain] >= _moment(tail.since)]
    if open_since:
        words += f" No anchor vouches yet for what was written from {iso(_moment(min(open_since)))} on."
    return words


def _moment(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def _command(since: datetime) -> str:
    return f"detector audit verify --since {iso(since)} --anchors FILE --public-key FILE"


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SLACK: Final = timedelta(microseconds=1)
