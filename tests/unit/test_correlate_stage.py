"""The live second stage: what it is told, and whom it tells, when its partition comes and goes."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detector import assembly, signals
from detector.alerts import Alert
from detector.checkpoints import CheckpointStore
from detector.config import Config
from detector.correlate_stage import CorrelateStage
from detector.detectors import REGISTRY
from detector.metrics import Metrics
from detector.outputs import Outputs
from detector.sources.base import Record
from detector.stages import StageShell
from tests.support.correlating import at, change
from tests.support.nouns import a_finding
from tests.support.score_stage import FakeSource

P0 = ("findings", 0)


def test_whoever_repeats_open_alerts_is_told_when_they_come_and_when_they_go(tmp_path: Path) -> None:
    told: list[str | list[str]] = []

    def restored(alerts: Sequence[Alert]) -> None:
        told.append([alert.id for alert in alerts])

    def stage() -> CorrelateStage:
        source = FakeSource([{}], threading.Event(), [P0])
        shell = StageShell(
            connect=source.connect,
            outputs=Outputs([]),
            checkpoints=CheckpointStore(str(tmp_path), "correlate"),
            metrics=Metrics(),
            stop=source.stop,
            share=float("inf"),
        )
        made = CorrelateStage(shell, lambda: assembly.correlator(Config()), restored, lambda: told.append("gone"))
        made.run()
        return made

    first = stage()
    rule = next(iter(REGISTRY["new_endpoint"].rules))
    finding = signals.encode(a_finding(1, rule=rule, severity="SEV1", score=1.0, p_value=None))
    (alert,) = first.take({P0: [Record(*P0, 0, None, finding, 0.0)]}, set()).alerts
    first.on_revoked([P0])
    assert told == ["gone"]
    stage()
    assert told == ["gone", [alert.id]]


def test_how_long_data_has_stood_open_is_measured_over_all_partitions(tmp_path: Path) -> None:
    partitions = [("findings", 0), ("findings", 1)]
    source = FakeSource([{}], threading.Event(), partitions)
    metrics = Metrics()
    stage = CorrelateStage(
        StageShell(
            connect=source.connect,
            outputs=Outputs([]),
            checkpoints=CheckpointStore(str(tmp_path), "correlate"),
            metrics=metrics,
            stop=source.stop,
        ),
        lambda: assembly.correlator(Config()),
        lambda _: None,
    )
    stage.run()

    def oldest() -> float | None:
        return metrics.registry.get_sample_value("detector_exposure_oldest_timestamp_seconds")

    def take(number: int, seconds: float, **evidence: Any) -> None:
        finding = change(seconds, **evidence)
        stage.take({partitions[number]: [Record("findings", number, 0, None, signals.encode(finding), 0.0)]}, set())

    assert oldest() == 0.0
    take(1, 60.0)
    assert oldest() == at(60.0)
    take(0, 30.0)
    assert oldest() == at(30.0)
    take(0, 90.0, closes=True)
    assert oldest() == at(60.0)
    stage.on_lost(partitions)
    assert oldest() == 0.0
    assert metrics.registry.get_sample_value("detector_restore_seconds", {"stage": "correlate"}) is not None


def test_alerts_of_statistics_alone_are_counted_for_the_budget(tmp_path: Path) -> None:
    source, metrics = FakeSource([{}], threading.Event(), [P0]), Metrics()
    shell = StageShell(
        connect=source.connect,
        outputs=Outputs([]),
        checkpoints=CheckpointStore(str(tmp_path), "correlate"),
        metrics=metrics,
        stop=source.stop,
        share=float("inf"),
    )
    stage = CorrelateStage(shell, lambda: assembly.correlator(Config()), lambda _: None)
    stage.run()
    stage.on_assigned([P0])
    rule = next(iter(REGISTRY["new_endpoint"].rules))

    def counted(number: int, p_value: float | None) -> float | None:
        who = {"principal": f"agent-{number}", "entities": (f"agent:agent-{number}",)}
        found = signals.encode(a_finding(number, rule=rule, severity="SEV1", p_value=p_value, **who))
        assert len(stage.take({P0: [Record(*P0, number, None, found, 0.0)]}, set()).alerts) == 1
        return metrics.registry.get_sample_value("detector_alerts_statistical_total")

    assert counted(1, None) == 0, "a rule's"
    assert counted(2, 1e-9) == 1
