"""What came before an event, played again through the two stages, with a witness among the detectors."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import msgspec

from detector import assembly
from detector.audit.answer import AuditError, records
from detector.audit.witness import Judged, Witness
from detector.config import Config
from detector.decoding import Decoder
from detector.events import Envelope
from detector.findings import Finding
from detector.pipeline import Pipeline, Step
from detector.sources.base import Record
from detector.store.client import Store
from detector.wording import number

# How much of the past there is: of the whole fleet, of the principal's role, of the principal.
_PAST: Final = """
SELECT count() AS fleet, countIf(actor_role = {role:String} OR e.principal = {principal:String}) AS role,
    countIf(e.principal = {principal:String}) AS principal
FROM events_data AS e
WHERE topic IN {topics:Array(String)} AND time <= {until:DateTime64(6, 'UTC')}
"""
# In the order of reading within a partition; between partitions by event time, as they are aligned when they are read.
_HISTORY: Final = """
SELECT topic, partition, offset, index, id, format, received_at, raw
FROM
(
    SELECT topic, partition, offset, index, id, format, received_at, raw,
        max(time) OVER (PARTITION BY topic, partition ORDER BY offset, index) AS reached
    FROM events
    WHERE topic IN {topics:Array(String)} AND time <= {until:DateTime64(6, 'UTC')}
        AND ({scope:String} = 'fleet' OR principal = {principal:String}
            OR ({scope:String} = 'role' AND actor_role = {role:String}))
        AND (topic != {topic:String} OR partition != {partition:Int32}
            OR (offset, index) <= ({offset:Int64}, {index:UInt32}))
)
ORDER BY reached, topic, partition, offset, index
"""


class Played(msgspec.Struct):
    """What came of playing the history again."""

    scope: str
    step: Step | None
    judged: list[Judged]
    facts: dict[str, Any]
    findings: dict[str, Finding]
    events: int = 0
    unread: int = 0
    since: datetime | None = None
    """The time of the first event that was played."""


def play(store: Store, event: dict[str, Any], config: Config, most: int) -> Played:
    """Take what came before an event through both stages, and the event with a witness among the detectors."""
    topics = [source.topic for source in config.read]
    bound = {
        **{name: event[name] for name in ("principal", "topic", "partition", "offset", "index")},
        "role": event["actor_role"],
        "topics": topics if event["topic"] in topics else [event["topic"]],
        "until": event["time"],
    }
    past = records(store.client.query(_PAST, parameters=bound))[0]
    scope = next((name for name in ("fleet", "role", "principal") if past[name] <= most), None)
    if scope is None:
        raise AuditError(f"{event['principal']} alone has {number(past['principal'])} events before it: allow --limit")
    played = Played(scope, None, [], {}, {})
    witness = Witness(assembly.detectors(config), config.overrides)
    scoring = assembly.scoring(config, witness.behind, before=[witness.before])
    pipeline = Pipeline(scoring, assembly.correlator(config), assembly.attention(config))
    place = tuple(event[name] for name in ("topic", "partition", "offset", "index"))
    for envelope in _history(store, {**bound, "scope": scope}, config, played):
        witness.looking = (envelope.topic, envelope.partition, envelope.offset, envelope.index) == place
        step = pipeline.step(envelope)
        played.events += 1
        played.since = played.since or envelope.event.time
        played.findings.update({f.id: f for f in step.findings if f.principal == event["principal"]})
        if witness.looking:
            played.step, played.judged, played.facts = step, witness.seen.judged, witness.seen.facts
    return played


def _history(store: Store, bound: dict[str, Any], config: Config, played: Played) -> Iterator[Envelope]:
    """The events in the order in which they were scored, decoded anew from their bytes."""
    decoders: dict[str, Decoder | None] = {}
    stream = store.client.query_row_block_stream(_HISTORY, parameters=bound, column_formats={"raw": "bytes"})
    with stream:
        for block in stream:
            for topic, partition, offset, index, event_id, form, received_at, raw in block:
                record = Record(topic, partition, offset, None, raw, received_at.timestamp())
                envelope = _decoded(record, index, event_id, _decoder(decoders, config, form))
                if envelope is None:
                    played.unread += 1
                else:
                    yield envelope


def _decoder(known: dict[str, Decoder | None], config: Config, form: str) -> Decoder | None:
    if form not in known:
        try:
            known[form] = assembly.decoder(config, form)
        except KeyError:
            known[form] = None
    return known[form]


def _decoded(record: Record, index: int, event_id: str, decoder: Decoder | None) -> Envelope | None:
    """The event of a row out of its bytes: the one of its id; by its place where its id was another's before."""
    if decoder is None:
        return None
    found = [item for item in decoder.decode(record) if isinstance(item, Envelope)]
    own = event_id.partition("~")[0]
    match = next((item for item in found if item.event.id in {event_id, own}), None)
    if match is None and len(found) == 1:
        match = found[0]
    return None if match is None else msgspec.structs.replace(match, index=index)
