"""What proves that the rows of an incident are as they were written: their links, verified again."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from detector.audit.answer import Table, iso, records, table
from detector.audit.incident import Incident
from detector.store.client import Store
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


def integrity(store: Store, incident: Incident, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Integrity:
    """Verify the rows of an incident, and all that was written after the first of them.

    Args:
        store: The event store.
        incident: Whose rows.
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
    command = f"detector audit verify --since {iso(since)} --anchors FILE --public-key FILE"
    if rows > ROWS_MOST:
        words = f"Not verified here: {number(rows)} rows were written since. To verify them: {command}"
        return Integrity(words, None, links)
    proof = Verification(store, int(now().timestamp() * 1e6), since=int((since - _SLACK).timestamp() * 1e6)).run()
    bare = len(written) - len(covered)
    if proof.sound:
        words = (
            f"Verified at {iso(now())}: {number(sum(proof.rows.values()))} rows under {plural(proof.links, 'link')} "
        )
        words += "written since are what their links say. This compares the store with itself; against anchors that "
        words += f"were kept outside of it: {command}"
    else:
        first = proof.problems[0]
        words = f"Verification found {plural(proof.problem_count, 'problem')}, the first: {first.what}: {first.detail}"
    words += " Some rows are from before there were chains." if bare else ""
    return Integrity(words, proof.sound, links)


_SLACK: Final = timedelta(microseconds=1)
