"""A running service takes on another configuration: no event is lost, nothing is forgotten, mistakes change nothing."""

import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from detector import assembly, signals
from detector.config import Config
from detector.config_file import load
from detector.config_versions import short_hash
from detector.detectors import REGISTRY
from detector.events import Envelope, Event
from detector.findings import Finding
from tests.support.kafka import drain
from tests.support.service import DETECTOR, Deployment, Running, until

pytestmark = [pytest.mark.kafka, pytest.mark.chdb, pytest.mark.timeout(300)]

AGENTS = ("agent-1", "agent-2", "agent-3")
DEAF = {"transfer_rate": {"outside_p": 1e-250}}
KEEN = {"transfer_rate": {"outside_p": 1e-5}}


def named(event: Event, name: str, number: int) -> Event:
    actor = msgspec.structs.replace(event.actor, id=name)
    return msgspec.structs.replace(event, id=f"{name}-{number}", actor=actor)


def history() -> list[Event]:
    """Two quiet days of three agents."""
    *usual, _ = REGISTRY["transfer_rate"].examples()[0].events
    return [named(event, name, number) for number, event in enumerate(usual) for name in AGENTS]


def burst(name: str) -> Event:
    """What an agent sends all of a sudden."""
    return named(REGISTRY["transfer_rate"].examples()[0].events[-1], name, 1000)


def never_reloaded(config: Config, events: Sequence[Event]) -> list[Finding]:
    """What one configuration finds in all of it."""
    scoring = assembly.scoring(config)
    scoring.open(("events", 0))
    envelopes = (Envelope(event, "events", 0, i, event.time.timestamp(), b"") for i, event in enumerate(events))
    return [finding for item in envelopes for finding in scoring.step(item).findings]


class Service:
    """The running service and its file."""

    def __init__(self, deployment: Deployment, running: Running) -> None:
        self.deployment = deployment
        self.running = running
        self.producer = deployment.folder / "producer.yaml"
        self.producer.write_text(deployment.config.read_text())

    def publish(self, events: Sequence[Event]) -> None:
        """Events, until both stages have taken them in; by a file of its own, as the service's may be wrong."""
        lines = b"".join(msgspec.json.encode(event) + b"\n" for event in events)
        command = [*DETECTOR, "produce", "-", "--config", str(self.producer)]
        subprocess.run(command, input=lines, capture_output=True, timeout=60, check=True)
        until(self.deployment.is_done, self.running)

    def write(self, text: str) -> None:
        """Another configuration."""
        self.deployment.config.write_text(text)

    def reload(self) -> "subprocess.CompletedProcess[str]":
        """`detector reload`, at the address that the service took."""
        (where,) = re.findall(r'"metrics": "([^"]+)"', self.running.log)
        command = [*DETECTOR, "reload", "--config", str(self.deployment.config), "--url", f"http://{where}"]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def reloads(self, outcome: str) -> float:
        """Reloads that ended so."""
        return self.running.metric("detector_config_reloads_total", outcome=outcome)

    def found(self) -> list[Finding]:
        """All findings of transfer_rate so far."""
        count = sum(self.deployment.end_offsets("findings").values())
        told = (signals.decode(record.value) for record in drain(self.deployment.bootstrap, self.topic, count))
        found = (one.signal for one in told if isinstance(one, signals.Sent))
        return [one for one in found if isinstance(one, Finding) and one.detector == "transfer_rate"]

    @property
    def topic(self) -> str:
        """Where findings are written."""
        return self.deployment.topics["findings"]


def with_settings(text: str, **settings: Any) -> str:
    return yaml.safe_dump({**yaml.safe_load(text), **settings})


def test_a_threshold_takes_effect_with_the_next_event_and_a_mistake_never(kafka_bootstrap: str, tmp_path: Path) -> None:
    deployment = Deployment(kafka_bootstrap, tmp_path, detectors=DEAF)
    deployment.command("topics")
    deaf = deployment.config.read_text()
    hashes = [short_hash(load(deployment.config))]
    with Running(deployment) as running:
        service = Service(deployment, running)
        service.publish(history())

        service.write(with_settings(deaf, detectors=KEEN))  # the service sees by itself that its file has changed
        until(lambda: service.reloads("changed") == 1, running)
        keen = load(deployment.config)
        hashes.append(short_hash(keen))
        service.publish([burst("agent-1")])

        service.write(with_settings(deaf, detectors={"transfer_rate": {"outside_p": "keen"}}))
        until(lambda: service.reloads("failed") == 1, running)
        assert running.metric("detector_config_reload_success") == 0
        asked = service.reload()
        assert asked.returncode == 1
        assert "`detectors.transfer_rate.outside_p` must be a number, found 'keen'" in " ".join(asked.stderr.split())
        service.write(with_settings(deaf, detectors=KEEN, format="auto"))
        asked = service.reload()
        assert asked.returncode == 1
        assert "`format` can't be changed while the service runs" in " ".join(asked.stderr.split())
        service.publish([burst("agent-2")])

        service.write(with_settings(deaf, detectors=KEEN))
        failed = service.reloads("failed")
        unchanged = service.reloads("unchanged")
        running.process.send_signal(signal.SIGHUP)
        until(lambda: service.reloads("unchanged") > unchanged, running)
        assert service.reloads("failed") >= failed
        assert running.metric("detector_config_reload_success") == 1

        service.write(deaf)
        asked = service.reload()
        # Whoever came first, this or the look at the files, changed it.
        assert (asked.returncode, f"{hashes[0]} is in force" in asked.stdout) == (0, True), asked.stderr
        service.publish([burst("agent-3")])
        assert running.stop() == 0

    events = [*history(), burst("agent-1"), burst("agent-2")]
    assert service.found() == [f for f in never_reloaded(keen, events) if f.detector == "transfer_rate"]
    assert {finding.principal for finding in service.found()} == {"agent-1", "agent-2"}
    (counts,) = deployment.query("SELECT count(), uniqExact(id), countIf(verdict = 'scored') FROM events")
    assert counts == [len(events) + 1] * 3
    versions = deployment.query("SELECT config, source FROM config_versions ORDER BY first_seen")
    assert versions == [[hashes[0], "start"], [hashes[1], "reload"]]
    done = deployment.query("SELECT action, subject, details FROM operator_actions ORDER BY time")
    assert [[action, subject] for action, subject, _ in done] == [["reload", f"config:{h}"] for h in reversed(hashes)]
