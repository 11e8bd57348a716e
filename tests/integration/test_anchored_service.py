"""The service itself: what it stores is covered and anchored, over crashes and restarts, on a broker and a store."""

import json
from pathlib import Path
from typing import Final

import pytest

from detector.integrity.anchor import new_key, read
from tests.support.kafka import drain, unique
from tests.support.service import Deployment, Running, files, until

SAMPLES: Final = Path(__file__).parents[2] / "sample_logs"

pytestmark = [pytest.mark.kafka, pytest.mark.chdb, pytest.mark.timeout(180)]


def test_what_is_stored_is_anchored_through_crashes_and_replays(kafka_bootstrap: str, tmp_path: Path) -> None:
    private, _ = new_key()
    key, anchors, topic = tmp_path / "anchor.pem", tmp_path / "anchors.ndjson", unique("anchors")
    key.write_bytes(private)
    audit = {"key": {"file": str(key)}, "anchor_file": str(anchors), "anchor_topic": topic, "anchor_every": 1}
    deployed = Deployment(kafka_bootstrap, tmp_path, audit=audit)
    assert topic in deployed.command("topics").stderr.decode()
    first, *others = files(SAMPLES)
    deployed.command("produce", first)
    with Running(deployed) as running:
        until(lambda: running.metric("detector_sink_items_total", sink="clickhouse", outcome="written") > 100, running)
        until(anchors.exists, running)
        running.kill()
    deployed.command("produce", *others)  # however far it came, the next one has something to store
    with Running(deployed) as running:
        until(deployed.is_done, running)
        assert running.get("/readyz") == (200, "ok\n")
        assert running.metric("detector_sink_up", sink="anchors") == 1
        beside = json.loads(deployed.command("audit", "verify", "--format", "json").stdout)
        assert (beside["problems"], beside["chains"]) == ([], 2), "verified while the service has it open"
        assert running.stop() == 0
    told = json.loads(deployed.command("audit", "verify", "--format", "json").stdout)
    assert (told["problems"], told["chains"], told["alike"]) == ([], 2, 0)
    assert told["rows"]["events_data"] == deployed.query("SELECT count() FROM events")[0][0] > 100
    (last,) = deployed.query(
        "SELECT chain, sequence, link FROM integrity ORDER BY written_at DESC, sequence DESC LIMIT 1"
    )
    kept = [read(line).anchor for line in anchors.read_bytes().splitlines()]
    assert [kept[-1].chain, kept[-1].sequence, kept[-1].link] == last, "the end is anchored"
    assert kept[-1].chain.startswith("the-only-one-")
    # The one that was killed may have had no time to put its last anchor everywhere.
    mine = [anchor for anchor in kept if anchor.chain == kept[-1].chain]
    deployed.topics["anchors"] = topic
    count = sum(deployed.end_offsets("anchors").values())
    produced = [read(record.value).anchor for record in drain(kafka_bootstrap, topic, count)]
    assert [anchor for anchor in produced if anchor in mine] == mine
    assert set(produced) <= set(kept)
    copies = deployed.query("SELECT sequence, link, chain FROM anchors ORDER BY sequence")
    assert [row for row in copies if row[2] == mine[0].chain] == [[a.sequence, a.link, a.chain] for a in mine]
