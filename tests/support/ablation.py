"""What each detector adds: the evaluation with one of them switched off in turn. `python -m tests.support.ablation`."""

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any, Final

import msgspec

from detector.config import Config
from detector.detectors import REGISTRY
from detector.evaluation import Origin, Outcome
from tests.support import evaluation
from tests.support.simulator.families import FAMILIES
from tests.support.simulator.lone_families import LONE

WHOLE: Final = "all"
PLAYED: Final = (*FAMILIES, *LONE)

# It runs with a trained model only, and notes are all it writes.
BY_CHOICE: Final = frozenset({"forest_challenger"})
COUNT: Final = 6
TIMEOUT: Final = 7200.0
_HEADINGS: Final = (
    *("without", "detected", "in time", "right severity", "median seconds"),
    *("SEV2+ false alarms", "all false alarms", "in time by family"),
)


class Tally(msgspec.Struct, frozen=True):
    """What one configuration made of the incidents and of all else.

    `median_seconds` is from the first harm to the first alert, of the detected ones; None if none was.
    """

    incidents: int
    detected: int
    in_time: int
    right_severity: int
    loud: int
    alarms: int
    median_seconds: float | None

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> "Tally":
        """The sums over some runs."""
        runs = list(outcomes)
        found = [run.detection for run in runs if run.detection is not None]
        seconds = [detection.seconds for detection in found if detection.seconds is not None]
        return cls(
            incidents=len(found),
            detected=sum(detection.detected for detection in found),
            in_time=sum(detection.in_time for detection in found),
            right_severity=sum(detection.right_severity for detection in found),
            loud=sum(len(run.loud) for run in runs),
            alarms=sum(len(run.false_alarms) for run in runs),
            median_seconds=round(median(seconds), 3) if seconds else None,
        )


class Without(msgspec.Struct, frozen=True):
    """The tally without one part, and the families that it is missed in: incidents no longer told in time."""

    part: str
    tally: Tally
    missed_in: dict[str, int]


class Ablation(msgspec.Struct, frozen=True):
    """The whole, and the whole without each part in turn."""

    whole: Tally
    without: tuple[Without, ...]
    origin: Origin | None = None


def configurations() -> dict[str, Config]:
    """The configuration as it is, without each detector that runs by default, and without each part of one.

    A part is a setting that is true by default besides `enabled`.
    """
    found = {WHOLE: Config()}
    for name, detector in REGISTRY.items():
        switches = [field for field, value in detector.Settings() if value is True]
        for switch in switches if "enabled" in switches and name not in BY_CHOICE else []:
            part = name if switch == "enabled" else f"{name}.{switch}"
            found[part] = Config.model_validate({"detectors": {name: {switch: False}}})
    found["budget.measured"] = Config.model_validate({"budget": {"measured": False}})
    return found


def measure(
    seeds: Sequence[int], count: int = COUNT, processes: int = evaluation.PROCESSES, date: str = ""
) -> Ablation:
    """Make `count` variants of every family and the clean weeks of each seed once, and play them in each way."""
    jobs = [(seed, job) for seed in seeds for job in evaluation.jobs(seed, count, PLAYED)]
    with get_context("spawn").Pool(processes) as pool:
        played = pool.map_async(partial(_play, count=count), jobs, chunksize=1).get(TIMEOUT)
    by_part: dict[str, list[Outcome]] = {}
    for part, outcomes in (entry for one in played for entry in one.items()):
        by_part.setdefault(part, []).extend(outcomes)
    return summarise(by_part, Origin.of(date, seeds))


def summarise(by_part: Mapping[str, Sequence[Outcome]], origin: Origin | None = None) -> Ablation:
    """What the runs of each configuration add up to."""
    whole = _in_time(by_part[WHOLE])
    without = []
    for part, outcomes in by_part.items():
        if part != WHOLE:
            now = _in_time(outcomes)
            missed = {name: count - now[name] for name, count in whole.items() if count != now[name]}
            without.append(Without(part, Tally.of(outcomes), missed))
    return Ablation(Tally.of(by_part[WHOLE]), tuple(without), origin)


def markdown(ablation: Ablation) -> str:
    """A table: the whole, then what changes without each part."""
    whole = ablation.whole
    counts = f"{whole.detected} of {whole.incidents} | {whole.in_time} | {whole.right_severity} | {_seconds(whole)}"
    lines = [
        f"| {' | '.join(_HEADINGS)} |",
        f"| --- {'| ---: ' * (len(_HEADINGS) - 2)}| --- |",
        f"| nothing | {counts} | {whole.loud} | {whole.alarms} | |",
    ]
    for without in ablation.without:
        now = without.tally
        names = ("detected", "in_time", "right_severity", "loud", "alarms")
        detected, in_time, right, loud, alarms = (_change(getattr(now, n) - getattr(whole, n)) for n in names)
        missed = ", ".join(f"{name} {-count:+d}" for name, count in without.missed_in.items())
        lines.append(
            f"| `{without.part}` | {detected} | {in_time} | {right} | {_seconds(now)} | {loud} | {alarms} | {missed} |"
        )
    return "\n".join(lines)


def _play(job: tuple[int, int], count: int) -> dict[str, list[Outcome]]:
    """All configurations on the events of one job."""
    seed, number = job
    made = evaluation.made(seed, count, number, PLAYED)
    return {part: list(made.play(config)) for part, config in configurations().items()}


def _in_time(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """Incidents told in time, by family."""
    counts: dict[str, int] = {}
    for outcome in outcomes:
        if outcome.detection is not None:
            counts[outcome.family] = counts.get(outcome.family, 0) + outcome.detection.in_time
    return counts


def _change(count: int) -> str:
    return f"{count:+d}" if count else "0"


def _seconds(tally: Tally) -> str:
    return "-" if tally.median_seconds is None else f"{tally.median_seconds:g}"


def main(arguments: Sequence[str]) -> None:
    """Measure, print the table as Markdown, keep the numbers."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.ablation", description=__doc__)
    parser.add_argument("seeds", nargs="*", type=int, default=[1], help="seeds that the variants are made from")
    parser.add_argument("--count", type=int, default=COUNT, help="variants of each family")
    parser.add_argument("--processes", type=int, default=evaluation.PROCESSES, help="how many run at once")
    parser.add_argument("--date", default="", help="day of the measuring, kept with the numbers")
    parser.add_argument("--keep", type=Path, help="write the numbers there")
    chosen: Any = parser.parse_args(arguments)
    ablation = measure(chosen.seeds, chosen.count, chosen.processes, chosen.date)
    if chosen.keep is not None:
        chosen.keep.write_bytes(msgspec.json.format(msgspec.json.encode(ablation), indent=2) + b"\n")
    sys.stdout.write(markdown(ablation) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
