"""Peers at comparable work, in an environment of their own: what each reaches, beside the detector's whole pipeline.

What they do stands in `peers/work.py`: less than the detector does. `peers/install.sh` makes their environment.
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from tests.bench.live import Ground, Rate, loaded
from tests.support.kafka import new_topic

ROOT: Final = Path(__file__).parents[2]
PYTHON: Final = ROOT / "var/peers/bin/python"
INSTALL: Final = "tests/bench/peers/install.sh"
MOST: Final = 45_000
_SECONDS: Final = 240


class Script(NamedTuple):
    """A peer: the module that it is in, the package that it needs, and the share of the messages that it is given."""

    module: str
    package: str
    share: float = 1.0


SCRIPTS: Final[Mapping[str, Script]] = {
    "kafka-python loop": Script("kafka_python_loop", "kafka-python"),
    "confluent-kafka loop": Script("confluent_loop", "confluent-kafka"),
    "Bytewax, stateful map, no recovery": Script("bytewax_flow", "bytewax"),
    "Quix Streams, state in its store": Script("quix_app", "quixstreams"),
    "Faust-streaming, state in a table": Script("faust_app", "faust-streaming", 0.1),
}


class Printed(msgspec.Struct, frozen=True):
    """What a peer prints at its end."""

    rate: float
    events: int
    alerts: int


class Peer(msgspec.Struct, frozen=True):
    """One peer: messages a second, or why there are none."""

    name: str
    version: str
    events: int = 0
    alerts: int = 0
    rate: Rate | None = None
    why_not: str = ""


def measure(ground: Ground, repetitions: int, python: Path = PYTHON) -> list[Peer]:
    """Each peer in turn, again and again, over the beginning of the mix; who is not installed is told."""
    versions = installed(python)
    messages = ground.file.read_bytes().splitlines()[:MOST]
    topic = loaded(ground.bootstrap, messages, ground.partitions)
    ran: dict[str, list[Printed]] = {name: [] for name in SCRIPTS}
    failed = {name: f"not installed: {INSTALL}" for name, script in SCRIPTS.items() if script.package not in versions}
    for _ in range(repetitions):
        for name, script in SCRIPTS.items():
            if name in failed:
                continue
            try:
                ran[name].append(_run(ground, python, script, topic, int(len(messages) * script.share)))
            except (subprocess.SubprocessError, ValueError) as error:
                failed[name] = _why(error)
    return [_peer(name, versions.get(script.package, ""), ran[name], failed.get(name, ""))
            for name, script in SCRIPTS.items()]  # fmt: skip


def installed(python: Path = PYTHON) -> dict[str, str]:
    """The versions of what is in the peers' environment, by name; empty if there is none."""
    if not python.exists():
        return {}
    code = (
        "import json,importlib.metadata as m;print(json.dumps({d.name.lower():d.version for d in m.distributions()}))"
    )
    printed = subprocess.run([python, "-c", code], stdout=subprocess.PIPE, timeout=60, check=True).stdout
    return msgspec.json.decode(printed, type=dict[str, str])


def _run(ground: Ground, python: Path, script: Script, topic: str, count: int) -> Printed:
    alerts = new_topic(ground.bootstrap, "bench-peer", partitions=ground.partitions)
    command = [str(python), "-m", f"tests.bench.peers.{script.module}", ground.bootstrap, topic, alerts, str(count)]
    # What they leave behind goes with the ground.
    env = {**os.environ, "TMPDIR": str(ground.folder)}
    done = subprocess.run(
        [*command, str(ground.partitions)], capture_output=True, timeout=_SECONDS, check=True, cwd=ROOT, env=env
    )
    return msgspec.json.decode(done.stdout[done.stdout.rindex(b'{"rate"') :], type=Printed)  # others print there too


def _why(error: Exception) -> str:
    """The last that it said, for a cell of a table."""
    if isinstance(error, subprocess.CalledProcessError):
        said = (error.stderr or b"").decode(errors="replace").strip().splitlines()
        return f"ended with {error.returncode}: {said[-1][:200] if said else 'it said nothing'}".replace("|", "/")
    if isinstance(error, subprocess.TimeoutExpired):
        return f"not done in {_SECONDS} s"
    return "it printed no rate"


def _peer(name: str, version: str, ran: list[Printed], why_not: str) -> Peer:
    if why_not or not ran:
        return Peer(name, version, why_not=why_not)
    return Peer(name, version, ran[-1].events, ran[-1].alerts, Rate.of([one.rate for one in ran]))


def table(peers: list[Peer], pipeline: Rate | None = None) -> str:
    """As Markdown; beside the detector's rate, if that was measured."""
    lines = [
        "| peer | version | events/s | worst to best | the detector's pipeline, times this |",
        "| --- | --- | ---: | ---: | ---: |",
        *(_line(peer, pipeline) for peer in peers),
    ]
    told = (
        "One process each: fading mean and variance of bytes and first-seen endpoints by principal, half-space trees "
        "(10 of height 8, five features), alerts to a topic. The detector does all of its own work instead."
    )
    return "\n".join([*lines, "", told])


def _line(peer: Peer, pipeline: Rate | None) -> str:
    if peer.rate is None:
        return f"| {peer.name} | {peer.version or '-'} | {peer.why_not} | - | - |"
    times = f"{pipeline.median / peer.rate.median:.2f}" if pipeline is not None else "-"
    spread = f"{peer.rate.worst:,.0f} to {peer.rate.best:,.0f}"
    return f"| {peer.name} | {peer.version} | {peer.rate.median:,.0f} | {spread} | {times} |"
