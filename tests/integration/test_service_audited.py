"""Audits and the service at one embedded store: each waits for the other, and what is stored is proved beside it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from detector.integrity.anchor import new_key
from tests.support.service import Deployment, Running, files, until

ROOT: Final = Path(__file__).parents[2]
SAMPLES: Final = ROOT / "sample_logs"
HOLDER: Final = """
import sys
from detector.store.client import connect
with connect(sys.argv[1]):
    print("open", flush=True)
    sys.stdin.read()
"""

pytestmark = [pytest.mark.kafka, pytest.mark.chdb, pytest.mark.timeout(180)]


def test_a_service_and_audits_share_one_embedded_store(kafka_bootstrap: str, tmp_path: Path) -> None:
    private, _ = new_key()
    key, anchors = tmp_path / "anchor.pem", tmp_path / "anchors.ndjson"
    key.write_bytes(private)
    audit = {"key": {"file": str(key)}, "anchor_file": str(anchors), "anchor_every": 1}
    deployed = Deployment(kafka_bootstrap, tmp_path, audit=audit)
    deployed.command("topics")
    deployed.command("store", "migrate")
    deployed.command("produce", files(SAMPLES)[0])
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, f"chdb://{tmp_path / 'store'}"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with Running(deployed) as running:
            until(lambda: f"open in another process (pid {holder.pid})" in running.get("/readyz")[1], running)
            holder.stdin.close()
            assert holder.wait(30) == 0
            until(deployed.is_done, running)
            until(anchors.exists, running)
            beside = json.loads(deployed.command("audit", "verify", "--format", "json").stdout)
            assert (beside["problems"], beside["chains"]) == ([], 1)
            gravest = "SELECT id FROM alerts_current ORDER BY severity, id LIMIT 1"
            alerts = deployed.command("audit", "sql", gravest, "--format", "json")
            incident = json.loads(alerts.stdout)["tables"]["result"][0]["id"]
            report = deployed.command("audit", "incident", incident).stdout.decode()
            assert "kept outside of the store say" in report
            coverage = json.loads(deployed.command("audit", "coverage", "--format", "json").stdout)
            assert [row["missing"] for row in coverage["tables"]["partitions"] if row["missing"]] == []
            assert running.stop() == 0
    told = json.loads(deployed.command("audit", "verify", "--format", "json").stdout)
    assert (told["problems"], told["rows"]["events_data"]) == ([], deployed.query("SELECT count() FROM events")[0][0])
