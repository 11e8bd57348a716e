"""deploy/compose.yaml without containers: the same commands, environment and files, as processes on loopback.

What is put in: addresses (by the environment, as compose.yaml does it for what differs), the folder of the secrets and
that of the state. There is one user of the store, and no root file system that can't be written to.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
COMPOSE: Final = ROOT / "deploy/compose.yaml"
CONFIG: Final = ROOT / "deploy/compose/etc/detector.yaml"
WORKERS: Final = ("score-1", "score-2", "correlate")

# Where the test's broker is, and how its quorum is made, is its own affair.
_OF_THE_BROKER: Final = {
    "KAFKA_LISTENERS": "INTERNAL://{host}:{port},CONTROLLER://{host}:{controller_port}",
    "KAFKA_ADVERTISED_LISTENERS": "INTERNAL://{host}:{port}",
    "KAFKA_CONTROLLER_QUORUM_VOTERS": None,
    "KAFKA_LOG_DIRS": None,
}


def compose() -> dict[str, Any]:
    """The file, its anchors resolved."""
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    return loaded


def broker_settings() -> str:
    """What compose.yaml sets of Kafka, as lines of `server.properties`."""
    told = {name: value for name, value in compose()["services"]["kafka"]["environment"].items() if "KAFKA_" in name}
    wanted = {name: value for name, value in (told | _OF_THE_BROKER).items() if value is not None}
    return "".join(f"{name[6:].lower().replace('_', '.')}={value}\n" for name, value in wanted.items())


def secrets(folder: Path) -> Path:
    """A folder of secrets, as deploy/compose/secrets.sh makes it."""
    made = folder / "secrets"
    subprocess.run([ROOT / "deploy/compose/secrets.sh", made], check=True, capture_output=True, timeout=30)
    return made


def environment(service: str, **here: str) -> dict[str, str]:
    """The environment of a service, with the addresses of a test over it."""
    told: Mapping[str, Any] = compose()["services"][service].get("environment", {})
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DETECTOR_")}
    return clean | {name: str(value) for name, value in told.items()} | here


def command(service: str) -> list[str]:
    """What a service runs, with the configuration where it stands in the repository."""
    parts: Sequence[str] = compose()["services"][service]["command"]
    return [sys.executable, "-m", "detector", *(str(CONFIG) if part.startswith("/etc/") else part for part in parts)]


class Process:
    """A service of compose.yaml that goes on, with its log in a file."""

    def __init__(self, name: str, arguments: Sequence[str], env: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self._log = folder / f"{name}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(arguments, env=dict(env), cwd=ROOT, stdout=log, stderr=log)

    @property
    def log(self) -> str:
        """What it said so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def stop(self, seconds: float = 40.0) -> int:
        """SIGTERM, and the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self) -> None:
        """End it at once; may be called twice."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
