"""What others' online detectors cost by themselves: river's and PySAD's, in the peers' environment."""

import subprocess
from pathlib import Path
from typing import Final

import msgspec

from tests.bench.compared import INSTALL, PYTHON, ROOT, installed
from tests.bench.live import Ground
from tests.bench.scoring import Cost

MOST: Final = 5_000
_SECONDS: Final = 300


class Alone(msgspec.Struct, frozen=True):
    """By name; `missing` tells by name why there are no numbers."""

    versions: dict[str, str]
    costs: list[Cost]
    missing: dict[str, str]


def measure(ground: Ground, times: int, events: int = MOST, python: Path = PYTHON) -> Alone:
    """Each detector new, again and again, over so many events of the mix."""
    versions = {name: version for name, version in installed(python).items() if name in {"river", "pysad"}}
    if not versions:
        return Alone({}, [], {"river and PySAD": f"not installed: {INSTALL}"})
    command = [str(python), "-m", "tests.bench.peers.alone", str(ground.file), str(events), str(times)]
    printed = subprocess.run(command, stdout=subprocess.PIPE, timeout=_SECONDS, check=True, cwd=ROOT).stdout
    found = msgspec.json.decode(printed.splitlines()[-1], type=dict[str, list[float] | str])
    return Alone(
        versions,
        [Cost.of(name, costs) for name, costs in found.items() if not isinstance(costs, str)],
        {name: why for name, why in found.items() if isinstance(why, str)},
    )


def table(alone: Alone) -> str:
    """As Markdown."""
    lines = [
        "| score and learn one event | µs of CPU | best to worst |",
        "| --- | ---: | ---: |",
        *(
            f"| {cost.name} | {cost.microseconds:,.0f} | {cost.best:,.0f} to {cost.worst:,.0f} |"
            for cost in alone.costs
        ),
        *(f"| {name} | {why.replace('|', '/')} | - |" for name, why in alone.missing.items()),
    ]
    versions = ", ".join(f"{name} {version}" for name, version in alone.versions.items())
    told = f"Of the same five features as above, one model for all principals. {versions}".strip()
    return "\n".join([*lines, "", told])
