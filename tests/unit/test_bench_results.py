"""The page of results: every section has its place, every target its verdict, a run that says little says so."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deploy.kafka.install import MissingTool
from tests.bench import results, sections, targets
from tests.bench.alone import Alone
from tests.bench.alone import table as alone_table
from tests.bench.bare import Bare
from tests.bench.compared import Peer
from tests.bench.decoding import Cost as DecodingCost
from tests.bench.growth import Growth, Held
from tests.bench.history import History, Spent
from tests.bench.latency import NEVER, OFTEN, Latencies, Level
from tests.bench.latency import table as latency_table
from tests.bench.live import Rate
from tests.bench.partitions import Partitions, Reading
from tests.bench.partitions import table as partitions_table
from tests.bench.pipeline import Backlog, Pipeline
from tests.bench.probes import Latency
from tests.bench.scoring import Cost, ScoringCosts
from tests.bench.sections import Run, Section, Skipped
from tests.bench.workers import Scaled, Workers


def rate(median: float) -> Rate:
    return Rate(median, median * 0.9, median * 1.1)


def level(share: float, every: float, p99: float, hook: float | None = None) -> Level:
    bare, alert = Latency(100, 0, 0.01, 0.02, 0.03), Latency(100, 0, p99 / 2, p99, p99)
    return Level(
        share,
        share * 1000,
        share * 990,
        every,
        3,
        0,
        bare,
        alert,
        None if hook is None else Latency(100, 0, 0.1, hook, 1),
    )


def measured(*, fast: bool) -> dict[str, Any]:
    better = 1.0 if fast else 0.0
    one = Cost("all", 7.0 if fast else 50.0, 5.0, 60.0)
    levels = [
        level(0.5, NEVER, 0.4), level(0.5, OFTEN, 0.5 + (0.0 if fast else 1.0)),
        level(0.0, NEVER, 0.4, 0.9 if fast else 1.1), level(0.5, NEVER, 0.4, 1.9 if fast else 2.1),
    ]  # fmt: skip
    return {
        "decoding": [DecodingCost("native", 600, 4.0 if fast else 6.0, 3.0, 6.0, 1.2)],
        "scoring": ScoringCosts(9, one, [one], [one, one], 1.2 if fast else 1.4, 150.0 if fast else 250.0),
        "bare": Bare(9, rate(80_000.0), rate(70_000.0), rate(500_000.0), rate(300_000.0)),
        "pipeline": Pipeline(
            Backlog(9, 9, rate(45_000.0 if fast else 30_000.0), 9.0, 9.0, 9.0, 9, 9),
            Backlog(9, 9, rate(9.0), 9.0, 9.0, 9.0, 9, 9),
        ),
        "partitions": Partitions(9, [
            Reading(1, "kafka-python", rate(90_000.0), 12.0, 300.0),
            Reading(1, "confluent-kafka", rate(90_000.0 if fast else 70_000.0), 9.0, 300.0),
        ]),
        "latency": Latencies(1000.0, levels),
        "workers": Workers(9, 9, 12, 2, 3, [Scaled(2, rate(9.0), 1.6 + 0.2 * better, 60.0, 1.5, 0.1)]),
        "peers": [
            Peer("Bytewax", "1", 9, 1, rate(20_000.0)), Peer("Quix", "1", 9, 1, rate(14_000.0)),
            Peer("Faust", "1", 9, 1, rate(4_000.0)), Peer("other", "", why_not="not installed"),
        ],
        "alone": Alone({"river": "1"}, [Cost("river LODA", 200.0, 190.0, 260.0)], {}),
        "growth": Growth(
            [
                Held(
                    100_000, 20_000, 1.0, 4_000.0 if fast else 5_000.0, 5_500.0, 601.0 - better, rate(9.0),
                    201.0 - better,
                )
            ],
            rate(81_000.0 if fast else 79_000.0),
        ),
        "backtest": History(9, Spent(9.0, 9.0), Spent(9.0, 9.0), 1.2 if fast else 1.4, 1.0, 3),
    }  # fmt: skip


@pytest.mark.parametrize("fast", [True, False])
def test_each_target_is_met_or_not(fast: bool) -> None:
    told = targets.targets(measured(fast=fast))
    assert len(told) == 20
    assert [one for one in told if one.met is not fast] == []


def test_those_that_are_not_met_are_told_with_what_holds_them() -> None:
    assert targets.reasons(measured(fast=True)) == ""
    found = measured(fast=False)
    told = targets.reasons(found)
    assert all(one.what in told for one in targets.targets(found))
    assert (
        "- pipeline, of bare `poll()`; pipeline: scoring alone takes 50 µs an event at the least, so that no process "
        in told
    )
    assert "- pipeline, of Bytewax; pipeline, of Quix; pipeline, of Faust: peers keep" in told


def test_what_the_faster_client_takes_is_told_beside_the_default_of_as_many_partitions() -> None:
    *_, usual, fast, _, _ = partitions_table(measured(fast=True)["partitions"]).splitlines()
    assert usual.endswith("| 12 | 1.00 | 300 |")
    assert fast == "| 1 | confluent-kafka | 90,000 | 81,000 to 99,000 | 9 | 0.75 | 300 |"


def test_a_load_that_did_not_come_through_is_told() -> None:
    kept, behind = level(0.5, NEVER, 0.4), level(0.8, NEVER, 0.4)
    behind = msgspec.structs.replace(behind, scored=300.0, behind=1234)
    *_, first, second, _, _ = latency_table(Latencies(1000.0, [kept, behind])).splitlines()
    assert first.startswith("| 50%: 500/s | none |")
    assert second.startswith("| 80%: 800/s, of which 300 came through (1,234 waiting) | none |")


def test_what_was_not_measured_has_no_verdict() -> None:
    assert targets.targets({name: Skipped("no Java") for name in sections.SECTIONS}) == []


def run_of(found: dict[str, Any], *, quick: bool = False) -> Run:
    run = Run(quick=quick, repetitions=1)
    run.found.update(found)
    return run


def test_the_page_has_every_section_and_a_chart(tmp_path: Path) -> None:
    found = measured(fast=False)
    page, chart = results.write(run_of(found), tmp_path, datetime(2026, 3, 2, tzinfo=UTC))
    text = page.read_text(encoding="utf-8")
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == [
        "Wanted, and measured", *(results._TITLES[name] for name in found), "Versions",
    ]  # fmt: skip
    assert "2026-03-02" in text
    assert "quick" not in text
    assert text.count("**not met**") == 20
    assert chart.read_bytes().startswith(b"\x89PNG")


def test_a_quick_run_says_that_it_says_nothing(tmp_path: Path) -> None:
    found = {"decoding": measured(fast=True)["decoding"]}
    (page,) = results.write(run_of(found, quick=True), tmp_path)
    assert "its numbers say nothing" in page.read_text(encoding="utf-8")


def test_what_was_left_out_is_told_with_the_reason() -> None:
    found = {
        "bare": Skipped("no Java"), "audit": Skipped("it broke", failed=True),
        "peers": [Peer("Quix", "1", 9, 1, rate(9.0)), Peer("Faust", "", why_not="not installed: run this")],
        "alone": Alone({}, [], {"river and PySAD": "not installed: run that"}),
    }  # fmt: skip
    run = run_of(found, quick=True)
    assert (run.missing, run.failed) == (["bare"], ["audit"])
    assert run.left_out == [
        "bare: no Java", "audit: it broke", "peers: Faust: not installed: run this",
        "alone: river and PySAD: not installed: run that",
    ]  # fmt: skip


def test_others_detectors_have_a_line_each() -> None:
    told = alone_table(Alone({"river": "1"}, [Cost("river LODA", 200.4, 190.0, 260.0)], {"pysad LODA": "a | b"}))
    assert "| river LODA | 200 | 190 to 260 |" in told
    assert "| pysad LODA | a / b | - |" in told


def test_every_section_has_a_title() -> None:
    assert set(results._TITLES) == set(sections.SECTIONS)


def test_without_java_a_section_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: Run) -> None:
        raise MissingTool("no Java: install it")

    monkeypatch.setattr(sections, "SECTIONS", {"bare": Section(missing, lambda _run, _found: "a table")})
    with Run(quick=True, repetitions=1) as run:
        assert run.table("bare") == "bare: not measured: no Java: install it"
        assert run.rate("bare") is None


def test_a_section_that_fails_does_not_take_the_others_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: Run) -> None:
        raise RuntimeError("the service ended")

    given = {"bare": Section(fails, lambda _run, _found: ""), "growth": Section(lambda _: 1, lambda _run, _found: "1")}
    monkeypatch.setattr(sections, "SECTIONS", given)
    with Run(quick=True, repetitions=1) as run:
        assert "the service ended" in run.table("bare")
        assert run.table("growth") == "1"
        assert run.failed == ["bare"]


def test_the_machine_is_told(tmp_path: Path) -> None:
    (tmp_path / "cpu").write_text("processor : 0\nmodel name : Some Processor 9\n")
    (tmp_path / "memory").write_text("MemTotal:       24684100 kB\n")
    told = results.machine(tmp_path / "cpu", tmp_path / "memory")
    assert told.startswith("Some Processor 9, ")
    assert "23 GiB" in told
