"""The whole service on a real broker and the real engine: every scenario in, alerts out, nothing lost or doubled."""

import gzip
import os
import time
from pathlib import Path

import msgspec
import pytest
from kafka.consumer.fetcher import ConsumerRecord

from detector import assembly
from detector.alerts import Alert
from detector.config import Config
from detector.config_file import load
from detector.config_versions import short_hash
from detector.decoding import Decoder
from detector.replay import Replay
from detector.sinks.base import Batch, Noun, Refused, Sink
from detector.sources.files import FileSource
from tests.support.kafka import drain
from tests.support.service import Deployment, Running, files, until

SAMPLES = Path(__file__).parents[2] / "sample_logs"
REJECTED = [b"not json\n", b'{"id": "half an event"}\n', b'{"id": "\xff"}\n']

pytestmark = [pytest.mark.kafka, pytest.mark.chdb, pytest.mark.timeout(300)]


class Kept(Sink):
    """Keeps what a replay makes."""

    name = "kept"
    accepts: frozenset[Noun] = frozenset({"findings", "alerts"})

    def __init__(self) -> None:
        self.findings: set[str] = set()
        self.alerts: dict[tuple[str, int], Alert] = {}

    def write(self, batch: Batch) -> list[Refused]:
        """Keep findings by id and alerts by id and version."""
        self.findings |= {finding.id for finding in batch.findings}
        self.alerts.update(((alert.id, alert.version), alert) for alert in batch.alerts)
        return []

    def close(self) -> None:
        """Nothing is held."""


@pytest.fixture(scope="session")
def replayed() -> Kept:
    """What the same files give without Kafka."""
    kept = Kept()
    replay = Replay(assembly.pipeline(Config()), Decoder("native"), [kept])
    for name in files(SAMPLES):
        replay.run(FileSource(name, time.time))
    return kept


@pytest.fixture(scope="session")
def event_ids() -> list[str]:
    """Ids of all events in the sample files."""
    ids = []
    for name in files(SAMPLES):
        with gzip.open(name) as lines:
            ids += [msgspec.json.decode(line)["id"] for line in lines]
    return ids


@pytest.fixture
def deployed(kafka_bootstrap: str, tmp_path: Path) -> Deployment:
    """Topics with all scenarios published, and a few messages that nobody can decode."""
    deployment = Deployment(kafka_bootstrap, tmp_path)
    deployment.command("topics")
    deployment.command("produce", *files(SAMPLES))
    deployment.command("produce", "-", stdin=b"".join(REJECTED))
    return deployment


def under(deployment: Deployment, alerts: dict[tuple[str, int], Alert]) -> dict[tuple[str, int], Alert]:
    """The alerts as the deployment's own configuration would make them: it judges as the default one does."""
    config = short_hash(load(deployment.config))
    return {version: msgspec.structs.replace(alert, config=config) for version, alert in alerts.items()}


def check_store(deployment: Deployment, event_ids: list[str], replayed: Kept) -> None:
    """Every event once, every finding and version of an alert, every reject with its bytes."""
    (counts,) = deployment.query("SELECT count(), uniqExact(id), uniqExact(topic, partition, offset) FROM events")
    assert counts == [len(event_ids)] * 3
    assert deployment.query("SELECT verdict, count() FROM events GROUP BY verdict") == [["scored", len(event_ids)]]
    assert {row[0] for row in deployment.query("SELECT id FROM findings")} == replayed.findings
    assert deployment.query("SELECT count() FROM findings") == [[len(replayed.findings)]]
    versions = {(row[0], row[1]) for row in deployment.query("SELECT id, version FROM alerts")}
    assert versions == set(replayed.alerts)
    config = short_hash(load(deployment.config))
    assert deployment.query("SELECT DISTINCT config FROM findings") == [[config]]
    assert deployment.query("SELECT config, source FROM config_versions") == [[config, "start"]]
    rejects = deployment.query("SELECT reason, count() FROM rejects GROUP BY reason ORDER BY reason")
    assert rejects == [["not_json", 1], ["wrong_shape", 2]]


def test_every_scenario_goes_through(deployed: Deployment, event_ids: list[str], replayed: Kept) -> None:
    with Running(deployed) as running:
        until(deployed.is_done, running)
        assert running.get("/readyz") == (200, "ok\n")
        assert running.metric("detector_events_total", format="native") == len(event_ids)
        assert running.metric("detector_events_verdict_total", verdict="scored") == len(event_ids)
        assert running.metric("detector_rejects_total") == len(REJECTED)
        assert running.metric("detector_alerts_total", status="open") == len({a for a, _ in replayed.alerts})
        assert running.metric("detector_sink_items_total", sink="clickhouse", outcome="refused") == 0
        assert running.stop() == 0
    assert deployed.alert_versions() == under(deployed, replayed.alerts)
    check_store(deployed, event_ids, replayed)
    rejects = drain(deployed.bootstrap, deployed.topics["rejects"], len(REJECTED))
    assert sorted(record.value for record in rejects) == sorted(line.rstrip(b"\n") for line in REJECTED)
    assert {header(record, "reason") for record in rejects} == {b"not_json", b"wrong_shape"}


def header(record: ConsumerRecord, name: str) -> bytes:
    value: bytes = dict(record.headers)[name]
    return value


def test_killed_in_the_middle_it_goes_on_as_if_nothing_had_happened(
    kafka_bootstrap: str, tmp_path: Path, event_ids: list[str], replayed: Kept
) -> None:
    deployed = Deployment(kafka_bootstrap, tmp_path)
    deployed.command("topics")
    lines = b"".join(gzip.decompress(Path(name).read_bytes()) for name in files(SAMPLES)).splitlines(keepends=True)
    thirds = [b"".join(lines[part * len(lines) // 3 : (part + 1) * len(lines) // 3]) for part in range(3)]
    for more in thirds[:2]:
        deployed.command("produce", "-", stdin=more)  # however far the last one came, there is more to do
        with Running(deployed) as running:
            until(lambda running=running: progress(running) > 0 and saved(deployed), running)  # type: ignore[misc]
            running.kill()
    deployed.command("produce", "-", stdin=thirds[2] + b"".join(REJECTED))
    with Running(deployed) as running:
        assert "partition_restored" in until(
            lambda: running.log if "partition_restored" in running.log else "", running
        )
        until(deployed.is_done, running)
        assert running.stop() == 0
    assert deployed.alert_versions() == under(deployed, replayed.alerts)
    check_store(deployed, event_ids, replayed)


def saved(deployment: Deployment) -> bool:
    """Whether a checkpoint stands that the next one can begin with."""
    return any((deployment.folder / "state").rglob("manifest*"))


def progress(running: Running) -> float:
    """Events that are in the store's hands."""
    return running.metric("detector_sink_items_total", sink="clickhouse", outcome="written")


def test_secrets_never_show(deployed: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_KEY", "s3cr3t-" * 3)
    text = deployed.config.read_text() + "webhook: {url: 'http://127.0.0.1:9/', secret: {env: WEBHOOK_KEY}}\n"
    deployed.config.write_text(text)
    assert os.environ["WEBHOOK_KEY"].encode() not in deployed.command("check").stdout
    assert b"WEBHOOK_KEY" in deployed.command("check").stdout
    with Running(deployed) as running:
        until(lambda: running.metric("detector_sink_failures_total", sink="webhook") > 0, running)
        assert os.environ["WEBHOOK_KEY"] not in running.log
        assert os.environ["WEBHOOK_KEY"] not in running.get("/metrics")[1] + running.get("/readyz")[1]


def test_a_missing_topic_is_said_with_the_remedy(kafka_bootstrap: str, tmp_path: Path) -> None:
    with Running(Deployment(kafka_bootstrap, tmp_path)) as running:
        assert running.process.wait(60) == 1
    assert "create it with `detector topics`" in running.log
    assert "Traceback" not in running.log


def test_what_is_muted_is_stored_with_the_name_of_the_mute_and_told_to_nobody(
    kafka_bootstrap: str, tmp_path: Path
) -> None:
    order = {"reason": "a drill", "owner": "ops", "principals": ["mail-assistant*"], "up_to": "SEV0"}
    over, drill = ("over", "2026-01-01T00:00:00Z"), ("drill", "9999-01-01T00:00:00Z")
    mutes = [{"name": name, "expires": expires, **order} for name, expires in (over, drill)]
    deployment = Deployment(kafka_bootstrap, tmp_path, mutes=mutes)
    deployment.command("topics")
    deployment.command("produce", str(SAMPLES / "inbox_deletion" / "events.ndjson.gz"))
    with Running(deployment) as running:
        until(deployment.is_done, running)
        muted = running.metric("detector_findings_suppressed_total", reason="mute")
        assert '"mute_expired"' in running.log
        assert '"over"' in running.log
        assert running.stop() == 0
    told = deployment.alert_versions().values()
    assert not any(name.startswith("mail-assistant") for alert in told for name in alert.principals)
    rows = deployment.query("SELECT suppressed, count() FROM findings WHERE severity <= 'SEV1' GROUP BY suppressed")
    assert [reason for reason, _ in rows] == ["mute:drill"]
    assert deployment.query("SELECT count() FROM findings WHERE suppressed != ''") == [[muted]]
