"""Several workers on one machine: what tells them apart, what becomes of one that ends, and how all of them end."""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE

import pytest
from structlog.testing import capture_logs

from detector import cores
from detector.config import Config
from detector.config_base import ConfigError
from detector.workers import (
    GIVE_UP,
    PAUSES,
    SHORT_LIFE,
    Plan,
    Process,
    Supervisor,
    plan,
    refuse_taken,
    spawn,
    write_targets,
)

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone binds a process to cores")


class Life:
    """A process in the world's own time: ends by itself at `until`, or when asked to, or not even then."""

    def __init__(self, world: "World", until: float, status: int = 1, *, stubborn: bool = False) -> None:
        self.world, self.until, self.status, self.stubborn = world, until, status, stubborn
        self.signals: list[int] = []
        self.ended: int | None = None

    def poll(self) -> int | None:
        if self.ended is None and self.world.now >= self.until:
            self.ended = self.status
        return self.ended

    def send_signal(self, sig: int) -> None:
        if self.ended is not None:
            raise ProcessLookupError
        self.signals.append(sig)
        if sig == signal.SIGTERM and not self.stubborn:
            self.ended = 0

    def kill(self) -> None:
        self.ended = -signal.SIGKILL

    def wait(self, timeout: float | None = None) -> int:  # noqa: ARG002 - that of a real one
        assert self.ended is not None, "waits for ever"
        return self.ended


class World:
    """Time that passes by sleeping, and the lives that were begun in it."""

    def __init__(self, lives: Callable[["World", Plan, int], Life], stop_at: float) -> None:
        self.now = 0.0
        self._lives = lives
        self._stop_at = stop_at
        self.begun: dict[int, list[tuple[float, Life]]] = {0: [], 1: []}
        self.tries = {0: 0, 1: 0}
        self.supervisor = Supervisor(
            [Plan(number, {}, f"127.0.0.1:{number}") for number in self.begun],
            self._begin,
            clock=lambda: self.now,
            sleep=self._sleep,
        )

    def _begin(self, one: Plan) -> Process:
        lives = self.begun[one.number]
        self.tries[one.number] += 1
        lives.append((self.now, self._lives(self, one, self.tries[one.number] - 1)))
        return lives[-1][1]

    def _sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now >= self._stop_at:
            self.supervisor.stop()


def forever(world: World, *_: object) -> Life:
    return Life(world, float("inf"))


def test_each_has_the_next_port_and_a_name_of_its_own() -> None:
    config = Config.model_validate({"metrics": {"port": 9464}, "kafka": {"instance_id": "host-a"}})
    assert plan(config, 2) == [
        Plan(0, {"DETECTOR_METRICS__PORT": "9464", "DETECTOR_KAFKA__INSTANCE_ID": "host-a-0"}, "127.0.0.1:9464"),
        Plan(1, {"DETECTOR_METRICS__PORT": "9465", "DETECTOR_KAFKA__INSTANCE_ID": "host-a-1"}, "127.0.0.1:9465"),
    ]


def test_without_a_port_free_ones_are_taken_and_without_a_name_none_is_given() -> None:
    plans = plan(Config.model_validate({"metrics": {"port": 0, "address": "::1"}}), 3)
    assert len({one.target for one in plans}) == 3
    assert all(one.target.startswith("[::1]:") and set(one.environment) == {"DETECTOR_METRICS__PORT"} for one in plans)


def test_an_embedded_store_is_one_process_s() -> None:
    config = Config.model_validate({"store": {"url": "chdb:///nowhere"}})
    assert len(plan(config, 1)) == 1
    with pytest.raises(ConfigError, match="several workers need a server"):
        plan(config, 2)


@pytest.mark.parametrize(
    ("count", "usable", "given"),
    [(2, [3, 7], [3, 7]), (2, [0, 1, 2], [None, None]), (3, [0, 1], [None] * 3), (1, [0], [None]), (2, [], [None] * 2)],
)
def test_each_has_a_core_of_its_own_where_there_are_just_as_many(
    count: int, usable: list[int], given: list[int | None]
) -> None:
    assert [one.core for one in plan(Config(), count, usable)] == given


def test_there_must_be_ports_for_all() -> None:
    with pytest.raises(ConfigError, match="leaves no room for 3 workers"):
        plan(Config.model_validate({"metrics": {"port": 65_534}}), 3)


def test_prometheus_finds_them_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "sd" / "detector.json"
    write_targets(path, plan(Config.model_validate({"metrics": {"port": 9464}}), 2))
    assert json.loads(path.read_text()) == [
        {"targets": ["127.0.0.1:9464"], "labels": {"worker": "0"}},
        {"targets": ["127.0.0.1:9465"], "labels": {"worker": "1"}},
    ]
    assert [found.name for found in path.parent.iterdir()] == ["detector.json"]


def test_asked_to_end_it_asks_all_of_them() -> None:
    world = World(forever, stop_at=5.0)
    assert world.supervisor.run() == 0
    assert [[life.signals for _, life in lives] for lives in world.begun.values()] == [[[signal.SIGTERM]]] * 2


def test_one_that_ends_is_begun_again_and_the_other_left_alone() -> None:
    world = World(lambda world, one, life: Life(world, 40.0 if (one.number, life) == (0, 0) else 1e9), stop_at=60.0)
    assert world.supervisor.run() == 0
    assert len(world.begun[1]) == 1
    first, second = (began for began, _ in world.begun[0])
    assert first == 0.0
    assert second - 40.0 == pytest.approx(PAUSES[0], abs=0.5)


def test_pauses_grow_and_one_that_can_not_live_ends_them_all() -> None:
    world = World(lambda world, one, _: Life(world, world.now + 1.0 if one.number == 0 else 1e9), stop_at=1e6)
    assert world.supervisor.run() == 1
    began = [at for at, _ in world.begun[0]]
    assert len(began) == GIVE_UP
    gaps = [later - earlier - 1.0 for earlier, later in itertools.pairwise(began)]
    assert gaps == [pytest.approx(pause, abs=0.5) for pause in PAUSES[: GIVE_UP - 1]]
    assert world.begun[1][0][1].signals == [signal.SIGTERM]


def test_long_lives_are_accidents_however_many() -> None:
    world = World(lambda world, *_: Life(world, world.now + SHORT_LIFE + 1.0), stop_at=20 * SHORT_LIFE)
    assert world.supervisor.run() == 0
    assert len(world.begun[0]) > GIVE_UP


def test_one_that_does_not_end_in_time_is_killed_and_told_by_the_status() -> None:
    world = World(lambda world, one, _: Life(world, 1e9, stubborn=one.number == 1), stop_at=5.0)
    assert world.supervisor.run() == 1
    assert world.begun[1][0][1].ended == -signal.SIGKILL
    assert world.now >= 5.0 + 28.0


def test_one_between_two_lives_is_not_waited_for() -> None:
    world = World(lambda world, one, _: Life(world, 4.9 if one.number == 0 else 1e9), stop_at=5.0)
    assert world.supervisor.run() == 0
    assert len(world.begun[0]) == 1


def test_one_that_can_not_be_begun_is_tried_again_and_the_others_live_on() -> None:
    def begin(world: World, one: Plan, life: int) -> Life:
        if (one.number, life) == (1, 0):
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return Life(world, float("inf"))

    world = World(begin, stop_at=20.0)
    assert world.supervisor.run() == 0
    assert [len(lives) for lives in world.begun.values()] == [1, 1]
    assert world.begun[1][0][0] == pytest.approx(PAUSES[0], abs=0.5)


def test_whatever_breaks_the_watch_no_worker_is_left_behind() -> None:
    class Broken(Life):
        def poll(self) -> int | None:
            if self.world.now >= 3.0 and not self.signals:
                raise RuntimeError("nobody thought of it")
            return super().poll()

    world = World(lambda world, one, _: (Broken if one.number == 0 else Life)(world, float("inf")), stop_at=1e6)
    with pytest.raises(RuntimeError, match="nobody thought of it"):
        world.supervisor.run()
    assert [[life.signals for _, life in lives] for lives in world.begun.values()] == [[[signal.SIGTERM]]] * 2


def test_a_port_that_is_taken_is_told_before_a_worker_begins() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        plans = [Plan(0, {}, "127.0.0.1:0"), Plan(1, {}, f"127.0.0.1:{port}")]
        with pytest.raises(ConfigError, match=rf"127.0.0.1:{port} is taken, where worker 1 would serve"):
            refuse_taken(plans, "127.0.0.1")
    refuse_taken(plans, "127.0.0.1")


ORPHAN = """
import sys, time
from detector import workers
sys.executable = sys.argv[1]
begin = workers.spawn(["--config", "/nowhere"])
print(begin(workers.Plan(0, {}, "127.0.0.1:0")).pid, flush=True)
time.sleep(600)
"""

WORKER = """#!{python}
import logging, os, signal
from detector import logs, workers
logs.log_to_stderr(logging.INFO)
signal.signal(signal.SIGTERM, lambda *_: (open({told!r}, "w").write("asked to end"), os._exit(0)))
open({told!r} + ".begun", "w").write(",".join(map(str, signal.pthread_sigmask(signal.SIG_BLOCK, []))))
workers.end_with_parent()
while True:
    signal.pause()
"""


PINNED = """#!{python}
import os, time
for _ in range(600):
    if len(os.sched_getaffinity(0)) == 1:
        break
    time.sleep(0.05)
open({told!r} + ".new", "w").write(str(sorted(os.sched_getaffinity(0))))
os.rename({told!r} + ".new", {told!r})
"""


@on_linux
def test_a_worker_runs_on_its_core_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told, program = tmp_path / "told", tmp_path / "worker"
    program.write_text(PINNED.format(python=sys.executable, told=str(told)))
    program.chmod(0o755)
    core = cores.available()[-1]
    monkeypatch.setattr(sys, "executable", str(program))
    process = spawn([])(Plan(0, {}, "127.0.0.1:0", core))
    assert seen(told) == str([core])
    assert process.wait(30) == 0


@on_linux
def test_one_whose_core_is_gone_runs_anywhere() -> None:
    before = cores.available()
    with capture_logs() as logs:
        cores.pin(os.getpid(), 1023)
    assert cores.available() == before
    assert [(line["event"], line["core"]) for line in logs] == [("worker_not_pinned", 1023)]


def test_a_worker_ends_once_its_parent_is_gone_and_holds_hangups_until_it_takes_them(tmp_path: Path) -> None:
    told, program = tmp_path / "told", tmp_path / "worker"
    program.write_text(WORKER.format(python=sys.executable, told=str(told)))
    program.chmod(0o755)
    with subprocess.Popen([sys.executable, "-c", ORPHAN, str(program)], stdout=PIPE, stderr=PIPE) as parent:
        try:
            assert parent.stdout is not None
            pid = int(parent.stdout.readline())
            assert str(int(signal.SIGHUP)) in seen(tmp_path / "told.begun").split(",")
            assert not told.exists()
        finally:
            parent.kill()
    try:  # what it logs is read by nobody any more
        assert seen(told) == "asked to end"
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def seen(path: Path) -> str:
    """What a file says once it does."""
    for _ in range(600):
        if path.exists() and (text := path.read_text()):
            return text
        time.sleep(0.05)
    raise AssertionError(f"{path.name} was not written")
