"""Every format through real Kafka into the running service and its store: each event once, each reject named."""

from collections import Counter
from pathlib import Path
from typing import Final

import msgspec
import pytest

from detector.decoding import Decoder
from detector.events import Envelope, Rejected
from detector.sources.base import Record
from tests.support.audit_logs import gcp, github, okta
from tests.support.cloudevents import cloudevent, cloudevent_of_bytes
from tests.support.cloudtrail import message as log_file
from tests.support.cloudtrail import record
from tests.support.events import event
from tests.support.kafka import new_topic, publish
from tests.support.kubernetes import audited
from tests.support.otel import message, protobuf, span
from tests.support.service import Deployment, Running, until
from tests.unit.test_formats import GOOD

pytestmark = [pytest.mark.kafka, pytest.mark.chdb, pytest.mark.timeout(300)]

SPANS: Final = message(span("invoke_agent", 1), span("execute_tool", 2, **{"gen_ai.tool.name": "search"}))
NATIVE: Final = msgspec.json.encode(event(9, id="native-9"))
MESSAGES: Final[tuple[bytes, ...]] = (
    *(msgspec.json.encode(event(number, id=f"native-{number}")) for number in range(3)),
    log_file(record("s3:GetObject", eventID="t-1"), {"eventName": 7}, record("s3:PutObject", eventID="t-2")),
    msgspec.json.encode(record("s3:DeleteBucket", eventID="t-3")),
    msgspec.json.encode({"kind": "EventList", "items": [audited("get", "pods", auditID=f"k-{n}") for n in range(3)]}),
    gcp("v1.compute.instances.delete", "compute"),
    github("repo.access", visibility="public"),
    okta("user.session.start"),
    SPANS,
    protobuf(message(span("execute_tool", 3, **{"gen_ai.tool.name": "fetch"}))),
    GOOD["ocsf"],
    b'[%s, {"colour": "red"}, %s]' % (okta("user.session.end", uuid="o-2"), github("git.clone", _document_id="g-2")),
    cloudevent(msgspec.json.encode(event(5, id="own")), id="c-1"),
    cloudevent_of_bytes(protobuf(message(span("execute_tool", 4))), id="c-2", datacontenttype="application/protobuf"),
    b"[%s, 7]" % cloudevent(okta("user.session.start", uuid="o-3"), id="c-3"),
    NATIVE.replace(b"agent-1", b"\xff"),
    *(b"not json", b"\xff\xfe", b"\x0a\x03abc", b'{"colour": "red"}', b'{"actor": 1, "kind": 2, "time": 3}', b""),
)


def expected(name: str, messages: tuple[bytes, ...]) -> tuple[Counter[tuple[str, ...]], Counter[tuple[str, ...]]]:
    """What a decoder alone makes of the messages: events by offset, index, format and id; rejects by reason."""
    found = [
        item
        for offset, raw in enumerate(messages)
        for item in Decoder(name).decode(Record("t", 0, offset, None, raw, 2e9))
    ]
    events = [(str(e.offset), str(e.index), e.format, e.event.id) for e in found if isinstance(e, Envelope)]
    rejects = [(str(r.offset), str(r.index), r.reject.reason) for r in found if isinstance(r, Rejected)]
    return Counter(events), Counter(rejects)


def stored(deployment: Deployment, topic: str) -> tuple[Counter[tuple[str, ...]], Counter[tuple[str, ...]]]:
    """The same of what is in the store."""
    events = deployment.query(
        f"SELECT toString(`offset`), toString(`index`), format, id FROM events WHERE topic = '{topic}'"  # noqa: S608
    )
    rejects = deployment.query(
        f"SELECT toString(`offset`), toString(`index`), reason FROM rejects WHERE topic = '{topic}'"  # noqa: S608
    )
    return Counter(tuple(row) for row in events), Counter(tuple(row) for row in rejects)


def run_until_done(deployment: Deployment) -> None:
    with Running(deployment) as running:
        until(deployment.is_done, running)
        assert running.stop() == 0, running.log


def test_all_formats_in_one_topic(kafka_bootstrap: str, tmp_path: Path) -> None:
    deployment = Deployment(kafka_bootstrap, tmp_path, format="auto")
    deployment.command("topics", "--partitions", "1")
    topic = deployment.topics["events"]
    publish(kafka_bootstrap, topic, [(None, raw) for raw in MESSAGES], partition=0)
    run_until_done(deployment)
    events, rejects = expected("auto", MESSAGES)
    assert {name for _, _, name, _ in events} == {
        *("native", "cloudtrail", "kubernetes", "gcp_audit", "github", "okta", "otel", "ocsf", "cloudevents")
    }
    assert {reason for _, _, reason in rejects} == {"not_json", "unknown_format", "wrong_shape", "empty"}
    assert stored(deployment, topic) == (events, rejects)
    (repeated,) = deployment.query("SELECT count() - uniqExact(`offset`, `index`) FROM events")
    assert repeated == [0]


def test_topics_of_a_format_each(kafka_bootstrap: str, tmp_path: Path) -> None:
    trail, acts = (new_topic(kafka_bootstrap, name, partitions=2) for name in ("trail", "acts"))
    sources = [{"topic": trail, "format": "cloudtrail"}, {"topic": acts, "format": "native"}]
    deployment = Deployment(kafka_bootstrap, tmp_path, sources=sources)
    deployment.command("topics")
    deployment.topics["events"] = trail
    logs = (log_file(record("s3:GetObject", eventID="t-1"), {}), msgspec.json.encode(event(1, id="astray")))
    own = (msgspec.json.encode(event(2, id="n-1")), logs[0])
    for topic, messages in ((trail, logs), (acts, own)):
        publish(kafka_bootstrap, topic, [(None, raw) for raw in messages], partition=1)
    with Running(deployment) as running:
        until(lambda: running.metric("detector_events_total") >= 2 and running.metric("detector_rejects_total") >= 3)
        until(deployment.is_done, running)
        assert running.stop() == 0, running.log
    assert stored(deployment, trail) == expected("cloudtrail", logs)
    assert stored(deployment, acts) == expected("native", own)
