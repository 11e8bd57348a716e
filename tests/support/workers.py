"""Workers of one deployment: real processes in one consumer group, with the time scale of tests."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from detector.patience import Patience
from detector.sinks.delivery import Backoff
from detector.sinks.runner import Limits
from detector.sources.kafka import ConsumerSettings
from tests.support.service import Deployment, Running

ROOT: Final = Path(__file__).parents[2]

IMPATIENT: Final = Patience(
    consumer=ConsumerSettings(session_timeout=6.0, heartbeat_interval=0.5, probe_after=1.0, max_poll_interval=20.0),
    limits=Limits(max_queue=2_000, backoff=Backoff(0.05, 0.5)),
    shutdown=20.0,
    grace=6.0,
    stuck=30.0,
    order=30.0,  # longer than anybody is away in these tests: then the alerts are those of one worker
)

# Where workers die, and are away for longer than the others wait, peers' knowledge depends on who was away when.
# Without the exchange, what scoring finds depends on the partition's log alone, whoever has it, and can be compared.
ALONE: Final = {"scoring": {"peers_every": 1e12}}


class Worker(Running):
    """A static member of the deployment's group; `name` is its instance id, None makes it a dynamic one."""

    def __init__(self, deployment: Deployment, name: str | None = None, patience: Patience = IMPATIENT) -> None:
        self.headers: dict[str, str] = {}
        settings = yaml.safe_load(deployment.config.read_text())
        settings["kafka"]["instance_id"] = name
        config = deployment.folder / f"{name or 'worker'}.yaml"
        config.write_text(yaml.safe_dump(settings))
        self._log = deployment.folder / f"{name or 'worker'}-{time.monotonic_ns()}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.worker", str(config), msgspec.json.encode(patience).decode()],
                cwd=ROOT,
                stderr=log,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    @property
    def alive(self) -> bool:
        """Whether it runs, or is stopped."""
        return self.process.poll() is None

    @property
    def ready(self) -> bool:
        """Whether it listens, and says that it is at work."""
        return bool(re.search(r'"metrics": "', self.log)) and self.get("/readyz")[0] == 200

    def freeze(self) -> None:
        """SIGSTOP: nothing in it goes on, and nobody is told."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    def said(self, event: str) -> list[dict[str, Any]]:
        """Its log lines of this event, in order."""
        lines = (line for line in self.log.splitlines() if line.startswith("{"))
        return [entry for line in lines if (entry := json.loads(line)).get("event") == event]

    def partitions(self, stage_topic: str) -> set[int]:
        """Numbers of the topic's partitions that it has now, by its log."""
        have: set[int] = set()
        lines = (line for line in self.log.splitlines() if line.startswith("{"))
        for entry in map(json.loads, lines):
            numbers = {number for topic, number in entry.get("partitions") or () if topic == stage_topic}
            if entry["event"] == "partitions_assigned":
                have |= numbers
            elif entry["event"] in {"partitions_revoked", "partitions_lost"}:
                have -= numbers
        return have


def at(entry: dict[str, Any]) -> float:
    """When a log line was written, in unix seconds."""
    return datetime.fromisoformat(entry["timestamp"]).timestamp()


def kill_all(workers: Iterable[Worker]) -> None:
    """End what still runs, frozen or not."""
    for worker in workers:
        if worker.alive:
            worker.kill()
