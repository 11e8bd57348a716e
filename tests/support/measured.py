"""Measurements that are kept in the repository, and how the README tells them. Made anew by hand: they take minutes."""

from pathlib import Path
from typing import Final, TypeVar

import msgspec

from detector.evaluation import Evaluation, FamilyResult, Spread
from detector.wording import duration, number
from tests.support.ablation import Ablation
from tests.support.ablation import markdown as ablation_table

T = TypeVar("T")

ROOT: Final = Path(__file__).parents[2]
EVALUATION: Final = ROOT / "tests/scenarios/evaluation.json"
ABLATION: Final = ROOT / "tests/scenarios/ablation.json"


def kept(path: Path, kind: type[T]) -> T:
    """A measurement as it was kept; fields that its type does not know are errors."""
    value = msgspec.json.decode(path.read_bytes(), type=kind)
    unknown = _paths(msgspec.json.decode(path.read_bytes())) - _paths(msgspec.to_builtins(value))
    if unknown:
        raise ValueError(f"{path.name}: unknown fields {sorted(unknown)}: measure anew")
    return value


def evaluation() -> str:
    """The kept evaluation as Markdown: incidents, then look-alikes and clean days, then where it comes from."""
    measured = kept(EVALUATION, Evaluation)
    incidents = [family for family in measured.families if family.incidents]
    quiet = [family for family in measured.families if not family.incidents]
    return "\n".join(
        [
            "| incident | variants | detected | in time | right severity | to the alert | to the severity | data out |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
            *(_incident(family) for family in incidents),
            "",
            "| nothing wrong | runs | days | SEV2 or worse | SEV3 |",
            "| --- | ---: | ---: | ---: | ---: |",
            *(_quiet(family) for family in quiet),
            "",
            _origin(measured),
        ]
    )


def ablation() -> str:
    """The kept ablation as Markdown."""
    return ablation_table(kept(ABLATION, Ablation))


def _incident(family: FamilyResult) -> str:
    counts = (family.incidents, family.detected, family.in_time, family.right_severity)
    out = "-" if family.share_out is None else f"{family.share_out.median:.1%} / {family.share_out.p90:.1%}"
    cells = (*map(number, counts), _times(family.seconds), _times(family.seconds_to_severity), out)
    return f"| `{family.family}` | {' | '.join(cells)} |"


def _quiet(family: FamilyResult) -> str:
    counts = (family.runs, family.days, family.loud, family.false_alarms.get("SEV3", 0))
    return f"| `{family.family}` | {' | '.join(map(number, counts))} |"


def _times(spread: Spread | None) -> str:
    """Median and ninetieth percentile; an alert before the harm is told as such."""
    if spread is None:
        return "-"
    return " / ".join(
        f"{duration(-seconds)} before" if seconds < 0 else duration(seconds) for seconds in (spread.median, spread.p90)
    )


def _origin(measured: Evaluation) -> str:
    events = sum(family.events for family in measured.families)
    origin = measured.origin
    if origin is None:
        return f"{number(events)} events."
    seeds = ", ".join(map(str, origin.seeds))
    versions = ", ".join(f"{name} {version}" for name, version in origin.versions.items())
    return (
        f"{number(events)} events, seeds {seeds}, measured on {origin.date} ({versions}). "
        "Times and data out are median / 90th percentile, times from the first harm."
    )


def _paths(data: object, path: str = "") -> set[str]:
    """The dotted names of all fields; places in lists do not count."""
    if isinstance(data, dict):
        return {path, *(p for key, value in data.items() for p in _paths(value, f"{path}.{key}"))}
    if isinstance(data, list | tuple):
        return {path, *(p for value in data for p in _paths(value, path))}
    return {path}
