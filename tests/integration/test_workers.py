"""`detector run --workers 2` on the real broker: they share the work, one that is killed is begun again."""

import gzip
import json
import os
import re
import signal
import urllib.request
from pathlib import Path
from typing import Any, Final

import pytest

from detector import cores
from tests.support.service import Deployment, Running, until

SAMPLE: Final = Path(__file__).parents[2] / "sample_logs" / "inbox_deletion" / "events.ndjson.gz"

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]


def scraped(target: str, name: str) -> float:
    """The sum of a metric's samples at one worker; 0 while it does not listen."""
    try:
        with urllib.request.urlopen(f"http://{target}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return 0.0
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if re.match(rf"{name}[{{ ]", line))


def said(running: Running, event: str) -> list[dict[str, Any]]:
    lines = (line for line in running.log.splitlines() if line.startswith("{"))
    return [entry for line in lines if (entry := json.loads(line)).get("event") == event]


def at_work(running: Running) -> set[int]:
    """Workers that have partitions of the events topic, by the last that each said of it."""
    return {entry["worker"] for entry in said(running, "partitions_assigned") if entry["partitions"]}


def pids(running: Running) -> dict[int, int]:
    """Each worker's, of its last life."""
    return {entry["worker"]: entry["pid"] for entry in said(running, "service_started")}


def test_two_workers_share_the_work(kafka_bootstrap: str, tmp_path: Path) -> None:
    deployment = Deployment(kafka_bootstrap, tmp_path, store={"url": None})
    deployment.command("topics")
    file = tmp_path / "targets.json"
    with Running(deployment, "--workers", "2", "--targets", str(file)) as running:
        until(lambda: at_work(running) == {0, 1}, running)
        listed = json.loads(file.read_text())
        assert [one["labels"] for one in listed] == [{"worker": "0"}, {"worker": "1"}]
        targets = [one["targets"][0] for one in listed]
        deployment.command("produce", str(SAMPLE))
        until(deployment.is_done, running)
        events = len(gzip.decompress(SAMPLE.read_bytes()).splitlines())
        assert sum(scraped(target, "detector_events_total") for target in targets) == events
        # One of them has no partition of the findings: a standby is ready, too, after a while.
        until(lambda: all(scraped(target, "detector_ready") == 1 for target in targets), running)
        before = pids(running)
        os.kill(before[1], signal.SIGKILL)
        until(lambda: len(said(running, "service_started")) == 3, running)
        usable = cores.available()
        own = [{core} for core in usable] if len(usable) == 2 else [set(usable)] * 2
        assert [os.sched_getaffinity(pid) for pid in (before[0], pids(running)[1])] == own
        assert [entry["worker"] for entry in said(running, "worker_ended")] == [1]
        assert running.stop() == 0
        assert {entry["worker"] for entry in said(running, "service_ended")} == {0, 1}
    assert deployment.alert_versions()


def test_several_workers_need_a_server(kafka_bootstrap: str, tmp_path: Path) -> None:
    deployment = Deployment(kafka_bootstrap, tmp_path)
    assert "several workers need a server as `store.url`" in deployment.failing("run", "--workers", "2")
