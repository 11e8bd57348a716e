"""The operator's commands as a person runs them, on the first example scenario: what the README shows of them.

Run as `python -m tests.support.worked`, in an empty folder: a process can open an embedded store at one place only.
What would differ from run to run is held still: the clock, and the broker, which takes whatever is published.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, tzinfo
from functools import cache
from pathlib import Path
from typing import Final
from unittest.mock import patch

import msgspec
from typer.testing import CliRunner

from detector import assembly, demo
from detector.adjustments import Adjustments
from detector.auditing import LinkedStore
from detector.checkpoints import CheckpointStore, Piece
from detector.cli import app
from detector.cli.common import KNOWN
from detector.config import Config
from detector.config_file import load
from detector.events import Envelope
from detector.metrics import Metrics
from detector.monitoring import RELOAD_PATH, MonitoringServer
from detector.produce import Produced
from detector.reloading import STATUS, Reloader
from detector.scenario import scenarios
from detector.sources.files import FileSource
from detector.store.client import connect
from detector.store.migrate import migrate
from tests.support.score_stage import stage_of

ROOT: Final = Path(__file__).parents[2]
SCENARIO: Final = "moderation_exfil"
AGENT: Final = "data-pipeline-agent-01"
PARTITION: Final = ("agent-events", 0)
CONFIG: Final = """store: {{url: "chdb://./var/store"}}
state: {{url: "file://./var/state"}}
metrics: {{port: {port}}}
control:
  issuers:
    - {{ids: [alice], orders: [rebaseline]}}
    - {{kinds: [human], ids: ["*"]}}
detectors:
  transfer_rate: {{outside_p: {outside_p}}}
"""
NAMES: Final = ("check", "schema", "reload", "explain", "baseline", "rebaseline", "feedback")
_SECONDS: Final = 300
_TOLD: Final = "told.json"


@cache
def examples() -> Mapping[str, str]:
    """Each example by name: a command behind a `$`, and what it says.

    Raises:
        RuntimeError: One of them failed.
    """
    with tempfile.TemporaryDirectory(prefix="worked-") as folder:
        command = [sys.executable, "-m", "tests.support.worked"]
        done = subprocess.run(
            command, cwd=folder, env=_environment(), capture_output=True, timeout=_SECONDS, check=False
        )
        if done.returncode:
            raise RuntimeError(done.stderr.decode()[-2000:])
        return msgspec.json.decode(Path(folder, _TOLD).read_bytes(), type=dict[str, str])


def example(name: str) -> str:
    """One of them, for the README."""
    return f"```text\n{examples()[name]}\n```"


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DETECTOR_")}
    return {**kept, "PYTHONPATH": str(ROOT)}


class Then(datetime):
    """The day after the incident, whenever it is asked."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        """Noon of that day."""
        return datetime(2026, 3, 7, 12, 0, tzinfo=tz)


def run() -> dict[str, str]:
    """The examples, in the folder that the process is in."""
    path = Path("detector.yaml")
    reloaded = _reloaded(path)
    path.write_text(CONFIG.format(port=9464, outside_p="0.00003"), encoding="utf-8")
    config = load(path)
    alert, finding = _stored(config)
    _saved(config)
    given = "--config detector.yaml"
    with _held_still():
        anew = f"--detector transfer_rate --since 3d --by alice --reason 'a new archive' {given}"
        judged = f"feedback {alert} --verdict true --by alice --reason 'incident 4711' {given}"
        return {
            "check": _said(f"check {given} --format yaml", "grep '# detector.yaml'"),
            "schema": _said("config schema", "grep -m 1 -A 5 '\"alerts_per_day\"'"),
            "reload": reloaded,
            "explain": cut(_said(f"explain {finding} {given}"), ("why", "score"), ("in the last", "would take")),
            "baseline": cut(_said(f"baseline {AGENT} {given}"), ("",), ("Rates",)),
            "rebaseline": _said(f"rebaseline {AGENT} {anew}"),
            "feedback": _said(judged),
        }


@contextmanager
def _held_still() -> Iterator[None]:
    with ExitStack() as stack:
        for module in ("feedback", "rebaseline"):
            stack.enter_context(patch(f"detector.cli.{module}.datetime", Then))
        stack.enter_context(patch("detector.cli.rebaseline.produce", lambda *_, **__: Produced(1, 0, 0.0)))
        stack.enter_context(patch("detector.cli.feedback._publish"))
        yield


def _said(line: str, pipe: str = "") -> str:
    """A command line, and what it prints; known errors as the program tells them."""
    done = CliRunner().invoke(app, shlex.split(line))
    said = (done.stdout + done.stderr).encode()
    if isinstance(done.exception, KNOWN):
        said += f"detector: {done.exception}\n".encode()
    elif done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    if pipe:
        said = subprocess.run(shlex.split(pipe), input=said, stdout=subprocess.PIPE, check=True).stdout
    shown = f"$ detector {line}" + (f" | {pipe}" if pipe else "")
    return "\n".join([shown, *(each.rstrip() for each in said.decode().splitlines())])


def cut(text: str, facts: Sequence[str], tables: Sequence[str]) -> str:
    """What was said of some facts and tables, by the beginning of a fact and words of a title; … for the rest."""
    first, *blocks = text.split("\n\n")
    command, *lines = first.splitlines()
    kept = [[command], *_facts(lines, facts)]
    for title, *rows in (block.splitlines() for block in blocks):
        kept += [["", title, *rows] if any(name in title for name in tables) else ["…"]]
    told: list[str] = []
    for part in kept:
        if part != ["…"] or told[-1] != "…":
            told += part
    return "\n".join(told)


def _facts(lines: Sequence[str], names: Sequence[str]) -> Iterator[list[str]]:
    keeping = False
    for line in lines:
        if re.match(r"[a-z ]+: ", line):
            keeping = line.startswith(tuple(names))
        yield [line] if keeping else ["…"]


def _stored(config: Config) -> tuple[str, str]:
    """Play the scenario into the store; the gravest alert, and its gravest finding that has a p-value."""
    assert config.store.url is not None
    with connect(config.store.url) as store:
        migrate(store)
        sink = LinkedStore(config, clock=lambda: Then.now().timestamp()).sink(store)
        scenario = next(each for each in scenarios(ROOT / "sample_logs") if each.expected.scenario == SCENARIO)
        outcome = demo.play(scenario, _source(), [sink], config, lambda: None)
        assert outcome.alert is not None
        ((finding,),) = store.client.query(
            "SELECT id FROM findings WHERE detector = 'transfer_rate' AND id IN {ids:Array(String)} "
            "ORDER BY severity, score DESC LIMIT 1",
            parameters={"ids": list(outcome.alert.finding_ids)},
        ).result_rows
    return outcome.alert.id, str(finding)


def _source() -> FileSource:
    path = ROOT / "sample_logs" / SCENARIO / "events.ndjson.gz"
    return FileSource(path, lambda: Then.now().timestamp() + 86_400.0, topic=PARTITION[0])


def _saved(config: Config) -> None:
    """A checkpoint, as the service that read the scenario saves it."""
    scoring, decoder = assembly.scoring(config), assembly.decoder(config)
    scoring.open(PARTITION)
    for record in _source():
        for item in decoder.decode(record):
            if isinstance(item, Envelope):
                scoring.step(item)
    head, capture = scoring.capture(PARTITION, whole=True)
    piece = Piece({"scoring": head, "ticker": [None, None]}, whole=True)
    while rows := capture.take(1000):
        piece.add(rows)
    store = CheckpointStore(config.state.url, "score")
    store.load([PARTITION])
    store.save({PARTITION: (0, piece)})


def _reloaded(path: Path) -> str:
    """A threshold is changed, then something that takes a restart."""
    stage, over = stage_of(Path("stage"), [PARTITION]), threading.Event()

    def come_round() -> None:
        while not over.wait(0.001):
            stage._errands.run()

    loop = threading.Thread(target=come_round)
    with (
        patch("detector.reloading.log"),
        MonitoringServer(Metrics().registry, port=0, posts={RELOAD_PATH: lambda _: answer()}) as server,
    ):
        path.write_text(CONFIG.format(port=server.port, outside_p="0.00003"), encoding="utf-8")
        made = Reloader(load(path), path, (stage,), adjustments=Adjustments(), metrics=stage.shell.metrics)

        def answer() -> tuple[int, Sequence[str]]:
            done = made.reload("request")
            return STATUS[done.outcome], done.lines

        loop.start()
        try:
            told = []
            for outside_p, more in (("0.000001", ""), ("0.000001", "kafka: {group_id: another}\n")):
                path.write_text(CONFIG.format(port=server.port, outside_p=outside_p) + more, encoding="utf-8")
                told.append(_said("reload --config detector.yaml").replace(f":{server.port}", ":9464"))
        finally:
            over.set()
            loop.join()
    # Any new setting of the program makes another hash.
    return re.sub(r"^[0-9a-f]{16} is", "[hash] is", "\n".join(told), flags=re.MULTILINE)


if __name__ == "__main__":
    Path(_TOLD).write_bytes(msgspec.json.encode(run()))
