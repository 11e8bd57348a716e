"""What a finding saw and what was expected, as OCSF `anomaly_analyses`."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from detector.events import ActorKind
from detector.findings import Finding

_PRINCIPALS: Final[Mapping[ActorKind, str]] = {"agent": "AI Agent", "human": "User Account", "service": "Service"}


class _Anomaly(NamedTuple):
    """One thing that was strange: `expected` is what the baseline says of it, None where that is no number."""

    parameter: str
    analysis: str
    pattern: str
    seen: Any
    expected: Any = None


def anomaly_analyses(finding: Finding) -> list[dict[str, Any]]:
    """The analysis that the finding rests on; none for a rule that has no baseline."""
    found = list(_anomalies(finding))
    if not found:
        return []
    analysis: dict[str, Any] = {
        "analysis_targets": [{"name": finding.principal, "type": _PRINCIPALS[finding.principal_kind]}],
        "anomalies": [_observed(anomaly, anomaly.pattern, anomaly.seen) for anomaly in found],
    }
    baselines = [_observed(anomaly, "EXPECTED", anomaly.expected) for anomaly in found if anomaly.expected is not None]
    return [analysis | {"baselines": baselines} if baselines else analysis]


def _anomalies(finding: Finding) -> Iterator[_Anomaly]:
    """By what the evidence holds, so that a new detector with the same kind of evidence needs no line here."""
    told = finding.evidence
    if "seen" in told and "expected" in told:
        what = told.get("channel") or told.get("noun") or f"{finding.detector} {finding.rule}"
        yield _Anomaly(str(what), "Volume Analysis", "SURGE", told["seen"], told["expected"])
    elif "endpoint" in told and "distinct_before" in told:
        kind = told.get("namespace", "endpoint")
        yield _Anomaly(f"{kind}", "Frequency Analysis", "UNSEEN", told["endpoint"])
        yield _Anomaly(f"distinct {kind}s", "Frequency Analysis", "NEW", 1, told["distinct_before"])
    elif "run" in told and "action" in told:
        yield _Anomaly("action after the last ones", "Sequence Analysis", "UNLIKE_HABIT", told["action"])
        yield _Anomaly("surprise of the sequence (-log10 p)", "Sequence Analysis", "RARE", told["run"])
    features = told.get("features")
    for name, value in features.items() if isinstance(features, dict) else ():
        pair = value if isinstance(value, (list, tuple)) and len(value) == 2 else (value, None)
        yield _Anomaly(str(name), "Distribution Analysis", "OUTLIER", *pair)


def _observed(anomaly: _Anomaly, pattern: str, value: Any) -> dict[str, Any]:
    return {
        "observation_parameter": anomaly.parameter,
        "observation_type": anomaly.analysis,
        "observed_pattern": pattern,
        "observations": [{"value": f"{value:.12g}" if isinstance(value, float) else str(value)}],
    }
