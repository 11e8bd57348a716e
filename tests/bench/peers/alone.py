"""Online detectors of river and PySAD, alone: `alone FILE COUNT TIMES`; the file is the mix, as NDJSON.

Prints one line of JSON: by name, microseconds an event of scoring and learning it, for each time. Each sees the five
features of `work`, and is new each time.
"""

import importlib
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from tests.bench.peers.work import Event, decode, features

MOST: Final = 1.0
"""Seconds for one detector, each time; those that take a millisecond an event see fewer."""

Take = Callable[[Mapping[str, float]], object]

# By name: the module, the class, and what it is given; as their documentation has it, unless it says nothing.
RIVER: Final[Mapping[str, tuple[str, str, dict[str, Any]]]] = {
    "HalfSpaceTrees, 10 of height 8": ("anomaly", "HalfSpaceTrees", {"n_trees": 10, "height": 8, "seed": 1}),
    "HalfSpaceTrees, 25 of height 10": ("anomaly", "HalfSpaceTrees", {"n_trees": 25, "height": 10, "seed": 1}),
    "OneClassSVM": ("anomaly", "OneClassSVM", {}),
    "LODA": ("anomaly", "LODA", {"seed": 1}),
    "LocalOutlierFactor": ("anomaly", "LocalOutlierFactor", {}),
}
PYSAD: Final[Mapping[str, tuple[str, str, dict[str, Any]]]] = {
    "LODA": ("loda", "LODA", {}),
    "HalfSpaceTrees": ("half_space_trees", "HalfSpaceTrees", {"feature_mins": [0.0] * 5, "feature_maxes": [1.0] * 5}),
    "RSHash": ("rs_hash", "RSHash", {"feature_mins": [0.0] * 5, "feature_maxes": [1.0] * 5}),
    "xStream": ("xstream", "xStream", {}),
    "ExactStorm": ("exact_storm", "ExactStorm", {}),
}


def of_river(kind: type[Any], given: dict[str, Any]) -> Take:
    """Score, then learn."""
    model = kind(**given)

    def take(row: Mapping[str, float]) -> object:
        score = model.score_one(row)
        model.learn_one(row)
        return score

    return take


def of_pysad(kind: type[Any], given: dict[str, Any]) -> Take:
    """As it calls it: learn and score in one; it wants an array."""
    numpy: Any = importlib.import_module("numpy")
    model = kind(**given)
    return lambda row: model.fit_score_partial(numpy.fromiter(row.values(), float, 5))


def cost(take: Take, events: list[Event]) -> float:
    """Microseconds of the processor an event, over as many as come in `MOST` seconds."""
    rows = [features(event) for event in events]
    began, seen = time.process_time(), 0
    for row in rows:
        take(row)
        seen += 1
        if time.process_time() - began > MOST:
            break
    return (time.process_time() - began) / seen * 1e6


def main(file: str, count: str, times: str) -> None:
    """Measure those that are installed; what is missing has a reason instead of numbers."""
    with Path(file).open("rb") as lines:
        events = [decode(line) for line, _ in zip(lines, range(int(count)), strict=False)]
    found: dict[str, list[float] | str] = {}
    for library, listed, wrap in (("river", RIVER, of_river), ("pysad.models", PYSAD, of_pysad)):
        try:
            importlib.import_module(library)
        except ImportError:
            found[library.partition(".")[0]] = "not installed: tests/bench/peers/install.sh"
            continue
        for name, (module, kind, given) in listed.items():
            told = f"{library.partition('.')[0]} {name}"
            try:
                made = getattr(importlib.import_module(f"{library}.{module}"), kind)
                found[told] = [cost(wrap(made, given), events) for _ in range(int(times))]
            except Exception as error:  # noqa: BLE001 - one that can't be had does not take the others with it
                found[told] = f"{type(error).__name__}: {error}"
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
