"""The whole evaluation on simulated logs: `make evaluate SEED=…`. Bounds on it are held by tests/scenarios."""

import argparse
import io
import sys
from collections.abc import Iterator, Sequence
from functools import cache, partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console

from detector import assembly
from detector.calibration import Calibration, calibrate
from detector.config import Charters, Config
from detector.evaluate import in_memory, run
from detector.evaluation import Evaluation, Origin, Outcome, summarise
from detector.evaluation_screen import calibration_table, evaluation_table
from detector.events import Event
from detector.pipeline import Pipeline
from detector.scenario import Expectation
from tests.support.simulator.background import background
from tests.support.simulator.families import FAMILIES
from tests.support.simulator.rhythm import Period
from tests.support.simulator.trail import utc
from tests.support.simulator.variants import Batch, Family, batches
from tests.support.simulator.world import Population, build_world

COUNT: Final = 20
PROCESSES: Final = 2
TIMEOUT: Final = 1800.0
CLEAN_WEEKS: Final = -1
CLEAN: Final = "clean"
COMMON_DAYS: Final = "common_days"
CLEAN_SEED: Final = 5
TWO_WEEKS: Final = Period(utc(2026, 3, 2), utc(2026, 3, 16))
SETTLED_DAYS: Final = 4.0


class Made:
    """The events of a batch, made once however often they are played."""

    def __init__(self, batch: Batch) -> None:
        self.history = batch.company.history() if batch.company is not None else []
        self.charters = {role: charter for v in batch.variants for role, charter in v.family.charters.items()}
        self.stories: list[tuple[str, str, list[Event], Expectation]] = [
            (variant.family.name, variant.twist.name, *variant.run()) for variant in batch.variants
        ]

    def play(self, config: Config) -> Iterator[Outcome]:
        """The common days, then each story as if there were no other."""
        pipeline: Pipeline | None = None
        if self.charters:
            config = config.model_copy(update={"charters": Charters(roles=self.charters)})
        if self.history:
            pipeline = assembly.pipeline(config)
            common = in_memory(COMMON_DAYS, "of all that go on from them", self.history)
            yield run(common, config, after=pipeline, onward=True)
        for family, twist, events, expected in self.stories:
            yield run(in_memory(family, twist, events, expected), config, after=pipeline)


class Clean:
    """Two weeks of 200 principals in which nothing happens."""

    def __init__(self, seed: int) -> None:
        self.events = background(build_world(CLEAN_SEED + seed - 1, Population.of(200)), TWO_WEEKS)

    def play(self, config: Config) -> Iterator[Outcome]:
        """What came of them."""
        yield run(in_memory(CLEAN, "200 principals, 14 days", self.events), config)


def in_order(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Outcomes by family as the families stand, what is clean at the end."""
    names = [*(family.name for family in FAMILIES), COMMON_DAYS, CLEAN]
    return sorted(outcomes, key=lambda outcome: names.index(outcome.family))


def jobs(seed: int, count: int, families: Sequence[Family] = FAMILIES) -> list[int]:
    """The numbers of a seed's batches, that of the clean weeks (-1) before them, since they take longest."""
    return [CLEAN_WEEKS, *range(sum(1 for _ in batches(families, seed, count)))]


def made(seed: int, count: int, job: int, families: Sequence[Family] = FAMILIES) -> "Made | Clean":
    """The events of a job."""
    if job == CLEAN_WEEKS:
        return Clean(seed)
    return Made(next(islice(batches(families, seed, count), job, None)))


def outcomes(seed: int, count: int = COUNT, processes: int = PROCESSES) -> list[Outcome]:
    """Variants of the stories and of their look-alikes, and two clean weeks, under the default configuration."""
    with get_context("spawn").Pool(processes) as pool:
        played = pool.map_async(partial(_play, seed, count), jobs(seed, count), chunksize=1).get(TIMEOUT)
    return in_order([outcome for one in played for outcome in one])


def _play(seed: int, count: int, job: int) -> list[Outcome]:
    return list(made(seed, count, job).play(Config()))


def calibration(seed: int) -> tuple[Calibration, ...]:
    """Of the two clean weeks, once the baselines have settled."""
    return calibrate(in_memory(CLEAN, "", Clean(seed).events).envelopes, Config(), SETTLED_DAYS)


@cache
def evaluation(seed: int) -> Evaluation:
    """The evaluation that the bounds are held against."""
    return summarise(outcomes(seed))


def summary(evaluated: Evaluation) -> str:
    """The tables, and each run that was not as it should be."""
    text = io.StringIO()
    console = Console(file=text, width=180)
    console.print(evaluation_table(evaluated))
    if evaluated.calibration:
        console.print(calibration_table(evaluated.calibration))
    wrong = [
        f"{outcome.family} {outcome.variant} (seed {outcome.seed}): {outcome.detection} {outcome.loud or ''}"
        for outcome in evaluated.outcomes
        if outcome.loud or (outcome.detection and not (outcome.detection.in_time and outcome.detection.right_severity))
    ]
    return "\n".join(["", text.getvalue(), *wrong])


def main(arguments: Sequence[str]) -> None:
    """Measure some seeds, print the tables, keep the numbers."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.evaluation", description=__doc__)
    parser.add_argument("seeds", nargs="*", type=int, default=[1], help="seeds that the variants are made from")
    parser.add_argument("--date", default="", help="day of the measuring, kept with the numbers")
    parser.add_argument("--json", type=Path, help="write all numbers there, each run among them")
    parser.add_argument("--keep", type=Path, help="write the numbers there without the single runs")
    chosen = parser.parse_args(arguments)
    played = [outcome for seed in chosen.seeds for outcome in outcomes(seed)]
    evaluated = summarise(in_order(played), calibration(chosen.seeds[0]), Origin.of(chosen.date, chosen.seeds))
    sys.stdout.write(summary(evaluated) + "\n")
    for path, kept in ((chosen.json, evaluated), (chosen.keep, msgspec.structs.replace(evaluated, outcomes=()))):
        if path is not None:
            path.write_bytes(msgspec.json.format(msgspec.json.encode(kept), indent=2) + b"\n")


if __name__ == "__main__":
    main(sys.argv[1:])
