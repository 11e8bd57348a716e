"""A ClickHouse server for tests of the HTTP path, and the faults it can be told to make."""

import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Final, Self

import httpx
import msgspec

from tests.support.clickhouse_faults import CONTROL, Fault

_ROOT: Final = Path(__file__).parents[2]


class Faults:
    """Orders for the front. Each holds for the next `times` statements whose first line contains `match`.

    For instance `match="INSERT INTO"` with the name of a table; the client quotes names with backticks.
    """

    def __init__(self, base_url: str) -> None:
        self._url = base_url + CONTROL

    def commit_then_drop(self, match: str, *, times: int = 1) -> None:
        """Run the statement, then close the connection without an answer."""
        self._order(Fault(match=match, kind="drop_after", times=times))

    def refuse(self, match: str, *, times: int = 1) -> None:
        """Close the connection without running the statement."""
        self._order(Fault(match=match, kind="drop_before", times=times))

    def error(self, match: str, *, code: int | None = None, status: int = 500, times: int = 1) -> None:
        """Answer with an HTTP status, and an engine's error code if given, without running the statement."""
        headers = {} if code is None else {"X-ClickHouse-Exception-Code": str(code)}
        self._order(Fault(match=match, kind="status", status=status, headers=headers, times=times))

    def unavailable(self, match: str, *, retry_after: int = 1, times: int = 1) -> None:
        """Answer 503 with Retry-After (seconds), without running the statement."""
        self._order(
            Fault(match=match, kind="status", status=503, headers={"Retry-After": str(retry_after)}, times=times)
        )

    def slow(self, match: str, seconds: float, *, times: int = 1) -> None:
        """Wait before running the statement."""
        self._order(Fault(match=match, kind="slow", seconds=seconds, times=times))

    def clear(self) -> None:
        """Forget every order, and what was seen."""
        httpx.delete(self._url, trust_env=False).raise_for_status()

    def seen(self, match: str) -> int:
        """How many statements with `match` in their first line came since the last `clear`, fault or not."""
        answer = httpx.get(self._url, trust_env=False).raise_for_status()
        return sum(match in line for line in msgspec.json.decode(answer.content, type=list[str]))

    def _order(self, fault: Fault) -> None:
        httpx.post(self._url, content=msgspec.json.encode(fault), trust_env=False).raise_for_status()


class ClickHouseFront:
    """An engine in a process of its own, behind ClickHouse's HTTP interface on loopback.

    Args:
        path: where its data is; `start` after `kill` finds it again.
        user: the one user there is.
        password: of that user.
    """

    def __init__(self, path: Path, *, user: str = "default", password: str = "") -> None:
        self._path = path
        self._user = user
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def start(self) -> Self:
        """Start it, on the port it had before if there was one; returns when it answers."""
        command = [sys.executable, "-m", "tests.support.clickhouse_front_server", str(self._path)]
        self._process = subprocess.Popen(
            [*command, "--port", str(self.port), "--user", self._user],
            cwd=_ROOT,
            env=os.environ | {"FRONT_PASSWORD": self._password, "TZ": "UTC"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        output = self._process.stdout
        assert output is not None
        ready, _, _ = select.select([output], [], [], 60)
        line = output.readline() if ready else b""
        if not line.strip():
            self.kill()
            raise RuntimeError("the ClickHouse front did not start; its words are on stderr")
        self.port = int(line)
        return self

    @property
    def pid(self) -> int | None:
        """The process's id, None when there is none."""
        return self._process.pid if self._process is not None else None

    @property
    def base_url(self) -> str:
        """Without user and database."""
        return f"http://127.0.0.1:{self.port}"

    def url(self, database: str) -> str:
        """For `detector.store.client.connect`."""
        return f"http://{self._user}@127.0.0.1:{self.port}/{database}"

    @property
    def faults(self) -> Faults:
        """Orders for this server."""
        return Faults(self.base_url)

    def kill(self) -> None:
        """End it at once, as a crash would. May be called twice."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait(30)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()
