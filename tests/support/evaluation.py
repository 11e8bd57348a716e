"""The whole evaluation on simulated logs: `make evaluate SEED=…`. Bounds on it are held by tests/scenarios."""

import sys
from functools import cache
from typing import Final

from rich.console import Console

from detector.config import Config
from detector.evaluate import in_memory, run
from detector.evaluation import Evaluation, summarise
from detector.evaluation_screen import evaluation_table
from tests.support.simulator.background import background
from tests.support.simulator.rhythm import Period
from tests.support.simulator.trail import utc
from tests.support.simulator.variants import variants
from tests.support.simulator.world import Population, build_world

COUNT: Final = 20
CLEAN: Final = "clean"
CLEAN_SEED: Final = 5
TWO_WEEKS: Final = Period(utc(2026, 3, 2), utc(2026, 3, 16))


@cache
def evaluation(seed: int) -> Evaluation:
    """Variants of the stories and of their look-alikes, and two weeks of 200 principals in which nothing happens."""
    config = Config()
    outcomes = []
    for variant in variants(seed, COUNT):
        events, expected = variant.run()
        outcomes.append(run(in_memory(variant.family.name, variant.twist.name, events, expected), config))
    quiet = background(build_world(CLEAN_SEED + seed - 1, Population.of(200)), TWO_WEEKS)
    outcomes.append(run(in_memory(CLEAN, "200 principals, 14 days", quiet), config))
    return summarise(outcomes)


def summary(seed: int) -> str:
    """The table, and each run that was not as it should be."""
    console = Console(width=160, record=True, quiet=True)
    console.print(evaluation_table(evaluation(seed)))
    wrong = [
        f"{outcome.family} {outcome.variant} (seed {outcome.seed}): {outcome.detection} {outcome.loud or ''}"
        for outcome in evaluation(seed).outcomes
        if outcome.loud or (outcome.detection and not (outcome.detection.in_time and outcome.detection.right_severity))
    ]
    return "\n".join(["", console.export_text(), *wrong])


if __name__ == "__main__":
    sys.stdout.write(summary(int(sys.argv[1]) if len(sys.argv) > 1 else 1) + "\n")
