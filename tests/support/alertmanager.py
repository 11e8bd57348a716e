"""A real Alertmanager on loopback that notifies a receiver at once."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

_BINARY = "prometheus-alertmanager"
_REMEDY = f"{_BINARY} is not installed: apt-get install --no-install-recommends {_BINARY}"
_START_SECONDS = 30.0

_CONFIG = """
route:
  receiver: hook
  group_by: [incident]
  group_wait: 10ms
  group_interval: 100ms
  repeat_interval: 1h
receivers:
  - name: hook
    webhook_configs:
      - url: "{hook}"
        send_resolved: true
"""


class Alertmanager:
    """One process; can be stopped and started again, and then has forgotten its alerts, as the real one does."""

    def __init__(self, binary: str, folder: Path, config: str) -> None:
        self._binary = binary
        self._folder = folder
        self._config = folder / "alertmanager.yml"
        self._config.write_text(config, encoding="utf-8")
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it and wait until it is ready."""
        with (self._folder / "alertmanager.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    self._binary,
                    f"--config.file={self._config}",
                    f"--storage.path={self._folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self._port}",
                    "--cluster.listen-address=",
                ],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._ready():
            log_text = (self._folder / "alertmanager.log").read_text(errors="replace")
            assert self._process.poll() is None, f"alertmanager ended: {log_text}"
            assert time.monotonic() < deadline, f"alertmanager is not ready: {log_text}"
            time.sleep(0.02)

    def stop(self) -> None:
        """End it by its pid; does nothing when it doesn't run."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._process = None

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that it holds as active."""
        listed: list[dict[str, Any]] = httpx.get(f"{self.url}/api/v2/alerts", timeout=10).raise_for_status().json()
        return listed

    def wait_for_alerts(self, count: int, timeout: float = 20.0) -> list[dict[str, Any]]:
        """The active alerts, once there are `count` of them.

        Raises:
            AssertionError: there were others after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while len(alerts := self.alerts()) != count:
            assert time.monotonic() < deadline, f"{len(alerts)} alerts, not {count}: {alerts}"
            time.sleep(0.05)
        return alerts

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=5).is_success
        except httpx.TransportError:
            return False


@contextmanager
def running_alertmanager(folder: Path, hook: str, config: str | None = None) -> Iterator[Alertmanager]:
    """An Alertmanager whose notifications go to `hook` at once, unless a `config` of its own says where and when.

    Without the program the test is skipped, in CI it fails.
    """
    binary = shutil.which(_BINARY)
    if binary is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"the Alertmanager tests must run in CI: {_REMEDY}", pytrace=False)
        pytest.skip(_REMEDY)
    alertmanager = Alertmanager(binary, folder, config or _CONFIG.format(hook=hook))
    try:
        alertmanager.start()
        yield alertmanager
    finally:
        alertmanager.stop()


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
