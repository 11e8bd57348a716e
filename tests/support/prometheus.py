"""A real Prometheus on loopback with the files of deploy/prometheus, and the tools that come with it."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.support.alertmanager import free_port

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
FILES: Final = DEPLOY / "prometheus"

_PACKAGES: Final = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "amtool": "prometheus-alertmanager",
}
_START_SECONDS: Final = 60.0


def program(name: str) -> str:
    """Where a program of Prometheus' is; without it the test is skipped, in CI it fails."""
    path = shutil.which(name)
    if path is None:
        remedy = f"{name} is not installed: apt-get install --no-install-recommends {_PACKAGES[name]}"
        if os.environ.get("CI") == "true":
            pytest.fail(f"the Prometheus tests must run in CI: {remedy}", pytrace=False)
        pytest.skip(remedy)
    return path


def tool(name: str, *arguments: str | Path, cwd: Path = DEPLOY) -> subprocess.CompletedProcess[str]:
    """Run promtool or amtool to its end, within two minutes."""
    return subprocess.run(
        [program(name), *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )


def copied(folder: Path, *, detectors: Sequence[str], alertmanagers: Sequence[str] = ()) -> Path:
    """The files of deploy/prometheus with other targets (host:port), and with seconds in place of quarter minutes.

    Nothing else differs from what is deployed. Returns the configuration.
    """
    copy = folder / "prometheus"
    shutil.copytree(FILES, copy)
    config = copy / "prometheus.yml"
    text = config.read_text(encoding="utf-8")
    for said, here in (("_interval: 15s", "_interval: 1s"), ("_interval: 5s", "_interval: 1s"), ("4s", "1s")):
        assert said in text, f"{config.name} says {said} no more"
        text = text.replace(said, here)
    config.write_text(text, encoding="utf-8")
    rules = copy / "rules/recording.yml"
    said = rules.read_text(encoding="utf-8")
    assert "interval: 2m" in said, f"{rules.name} says so no more"
    rules.write_text(said.replace("interval: 2m", "interval: 1s"), encoding="utf-8")
    for name, targets in (("detector", detectors), ("alertmanager", alertmanagers)):
        (copy / f"targets/{name}.yml").write_text(f"- targets: {list(targets)}\n", encoding="utf-8")
    return config


def take_in_tls(text: str) -> tuple[str, int]:
    """The configuration with the # taken away from lines that are YAML behind it, and how many they were."""
    return re.subn(r"^( +)#( *[a-z_]+:)", r"\1\2", text, flags=re.MULTILINE)


class Prometheus:
    """One process, asked over its API."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, port: int) -> None:
        self._process = process
        self._log = log
        self.url = f"http://127.0.0.1:{port}"

    def wait_until_ready(self) -> None:
        """Until it answers.

        Raises:
            AssertionError: it ended, or did not in time.
        """
        deadline = time.monotonic() + _START_SECONDS
        while not self._ready():
            assert self._process.poll() is None, f"prometheus ended: {self.log}"
            assert time.monotonic() < deadline, f"prometheus is not ready: {self.log}"
            time.sleep(0.05)

    @property
    def log(self) -> str:
        """What it said so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def get(self, path: str, **query: str) -> Any:
        """The `data` of an answer of its API, asked for below /api/v1."""
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=query, timeout=10).raise_for_status().json()
        return answer["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What an expression gives now: its series, each with labels and value."""
        series: list[dict[str, Any]] = self.get("query", query=expression)["result"]
        return series

    def rules(self) -> list[dict[str, Any]]:
        """All rules that it has loaded, with the health of each."""
        return [rule for group in self.get("rules")["groups"] for rule in group["rules"]]

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=5).is_success
        except httpx.TransportError:
            return False


@contextmanager
def running_prometheus(config: Path) -> Iterator[Prometheus]:
    """A Prometheus with this configuration, ended with the block."""
    binary, port = program("prometheus"), free_port()
    path = config.parent / "prometheus.log"
    with path.open("wb") as log:
        process = subprocess.Popen(
            [
                binary,
                f"--config.file={config}",
                f"--storage.tsdb.path={config.parent / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        prometheus = Prometheus(process, path, port)
        prometheus.wait_until_ready()
        yield prometheus
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
