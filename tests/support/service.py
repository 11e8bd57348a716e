"""The real service as a process of its own, on the tests' broker, with topics and a store nobody else uses."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec
import yaml
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import RetriableError

from detector.alerts import Alert
from detector.scenario import scenarios
from tests.support.kafka import drain, unique

T = TypeVar("T")

DETECTOR = (sys.executable, "-m", "detector")
QUERY = """
import json, sys
from detector.store.client import connect
with connect(sys.argv[1]) as store:
    print(json.dumps(store.client.query(sys.argv[2]).result_rows, default=str))
"""


class Deployment:
    """One configuration: topics, group, state and store of its own, below a folder; `client` reads Kafka."""

    def __init__(self, bootstrap: str, folder: Path, *, client: str = "kafka-python", **settings: Any) -> None:
        self.bootstrap = bootstrap
        self.folder = folder
        self.group = unique("group")
        self.topics = {
            noun: unique(noun) for noun in ("events", "findings", "alerts", "rejects", "adjustments", "peers")
        }
        self.store = f"chdb://{folder}/store"
        self.token = ""
        """The bearer token of its monitoring pages, for those who configured one."""
        self.config = folder / "detector.yaml"
        self.config.write_text(
            yaml.safe_dump(
                {
                    "kafka": {
                        "bootstrap_servers": [bootstrap],
                        "client": client,
                        "group_id": self.group,
                        "instance_id": "the-only-one",  # a killed process is replaced at once
                        "topics": self.topics,
                    },
                    "store": {"url": self.store},
                    "state": {"url": f"file://{folder}/state", "every": 0.5},
                    "metrics": {"port": 0},
                    **settings,
                }
            )
        )

    def command(self, *arguments: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        """Run a `detector` command with this configuration; it must succeed."""
        done = subprocess.run(
            [*DETECTOR, *arguments, "--config", str(self.config)],
            input=stdin,
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done

    def failing(self, *arguments: str) -> str:
        """Run a `detector` command that must fail, without a traceback; what it said, on one line."""
        command = [*DETECTOR, *arguments, "--config", str(self.config)]
        done = subprocess.run(command, capture_output=True, timeout=120, check=False)
        assert done.returncode != 0
        assert b"Traceback" not in done.stderr
        return " ".join(done.stderr.decode().translate(str.maketrans("│╭╮╰╯─", "      ")).split())

    def query(self, sql: str) -> list[list[Any]]:
        """Rows of the event store, read by a process of its own; the service must not be running."""
        done = subprocess.run(
            [sys.executable, "-c", QUERY, self.store, sql], capture_output=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        rows: list[list[Any]] = json.loads(done.stdout)
        return rows

    def end_offsets(self, noun: str) -> dict[TopicPartition, int]:
        """The log ends of a topic's partitions."""
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, group_id=None)
        try:
            topic = self.topics[noun]
            partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
            ends: dict[TopicPartition, int] = consumer.end_offsets(partitions)
            return ends
        finally:
            consumer.close()

    def is_done(self) -> bool:
        """Whether both stages have committed the ends of what they read; scoring first, for it feeds the other."""
        return self._committed(self.group, "events") and self._committed(f"{self.group}-correlate", "findings")

    def _committed(self, group: str, noun: str) -> bool:
        ends = {partition: end for partition, end in self.end_offsets(noun).items() if end}
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            committed = admin.list_group_offsets([group])[group]
        except RetriableError:
            return False  # the broker's very first group: its offsets topic is being made, or loaded
        finally:
            admin.close()
        return all(p in committed and committed[p].offset == end for p, end in ends.items())

    def alert_versions(self) -> dict[tuple[str, int], Alert]:
        """Every version of every alert on the alerts topic; a repeat must say the same."""
        total = sum(self.end_offsets("alerts").values())
        versions: dict[tuple[str, int], Alert] = {}
        for record in drain(self.bootstrap, self.topics["alerts"], total):
            alert = msgspec.json.decode(record.value, type=Alert)
            assert versions.setdefault((alert.id, alert.version), alert) == alert
        return versions


class Running:
    """A `detector run` process. As a context manager it is killed at the end, if it still runs."""

    def __init__(self, deployment: Deployment, *arguments: str) -> None:
        self.headers = {"Authorization": f"Bearer {deployment.token}"} if deployment.token else {}
        self._log = deployment.folder / f"run-{time.monotonic_ns()}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*DETECTOR, "run", "--config", str(deployment.config), *arguments],
                stderr=log,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    @property
    def log(self) -> str:
        """What it said so far."""
        return self._log.read_text(encoding="utf-8")

    @property
    def where(self) -> str:
        """Host and port of its monitoring server, once it listens."""
        found = until(lambda: re.search(r'"metrics": "([^"]+)"', self.log), self)
        assert found is not None
        return found[1]

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of a page of its monitoring server."""
        asked = urllib.request.Request(f"http://{self.where}{path}", headers=self.headers)
        try:
            with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310 - on loopback
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        lines = [line for line in self.get("/metrics")[1].splitlines() if re.match(rf"{name}[{{ ]", line)]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if all(part in line for part in wanted))

    def kill(self) -> None:
        """SIGKILL: no time to say goodbye."""
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()


def until(condition: Callable[[], T], running: Running | None = None, *, seconds: float = 120.0) -> T:
    """Wait until `condition` gives something true; that."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        assert running is None or running.process.poll() is None, running.log
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds} s in vain{': ' + running.log[-3000:] if running else ''}")


def files(root: Path) -> Sequence[str]:
    """The sample scenarios' event files, in order of time."""
    in_time = sorted(scenarios(root), key=lambda scenario: scenario.expected.first_harm.time)
    return [str(scenario.events) for scenario in in_time]
