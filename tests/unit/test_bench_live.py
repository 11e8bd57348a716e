"""The benchmarks of the running service: what they make of what they saw."""

import itertools
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from detector.events import Event
from detector.publishing import key_of
from tests.bench import compared, growth, scoring
from tests.bench.compared import Peer
from tests.bench.live import BYTES, PACE, Rate, Sample, busy, filled, rates, watched
from tests.bench.load import PROBE, now_again
from tests.bench.peers.work import KNOWN_FOR, Plain, Principal
from tests.bench.peers.work import decode as peers_decode
from tests.bench.pipeline import Backlog, Pipeline
from tests.bench.pipeline import table as pipeline_table
from tests.bench.probes import Latency, probe
from tests.bench.stream import days_of, fresh
from tests.bench.workers import Scaled, Workers, together
from tests.bench.workers import table as workers_table
from tests.support.events import event

RATE = Rate(100.0, 90.0, 110.0)


def test_events_are_filled_up_and_still_the_same_events() -> None:
    for one in days_of(30, 0, 1)[:300]:
        message = filled(one)
        again = msgspec.json.decode(message, type=Event)
        assert BYTES - 30 <= len(message) <= BYTES + 300
        assert msgspec.structs.replace(again, attributes=one.attributes) == one


def test_the_mix_is_the_same_day_of_several_companies_in_a_part_of_the_time() -> None:
    day, mix = days_of(30, 0, 1), list(busy(30, 3))
    assert len({one.id for one in mix}) == len(mix) == 3 * len(day)
    assert len({one.principal for one in mix}) == 3 * len({one.principal for one in day})
    assert mix == sorted(mix, key=lambda one: one.time)
    whole, part = (made[-1].time - made[0].time for made in (day, mix))
    assert whole.total_seconds() == pytest.approx(PACE * part.total_seconds())


def test_what_was_done_at_the_start_is_no_part_of_the_rate() -> None:
    samples = [Sample(0.0, 0.0), Sample(10.0, 10.0), Sample(11.0, 60.0), Sample(12.0, 110.0)]
    assert rates(samples, 2) == pytest.approx([50.0 / 1.02, 50.0], rel=0.02)


def test_a_rate_needs_no_look_in_between() -> None:
    assert rates([Sample(0.0, 0.0), Sample(2.0, 100.0)], 3) == pytest.approx([50.0] * 3)


def test_watching_ends_when_all_is_done() -> None:
    looks: Iterator[float] = iter([0.0, 3.0, 7.0])
    assert [sample.done for sample in watched(lambda: next(looks), 7)] == [0.0, 3.0, 7.0]


def test_workers_count_while_all_are_at_work() -> None:
    late = [Sample(float(at), done) for at, done in enumerate([0.0, 0.0, 10.0, 20.0, 30.0])]
    early = [Sample(float(at), done) for at, done in enumerate([0.0, 10.0, 20.0, 30.0, 30.0])]
    assert [(sample.at, sample.done) for sample in together([late, early])] == [(2.0, 30.0), (3.0, 50.0)]


def test_a_worker_that_came_too_late_leaves_the_whole() -> None:
    none = [Sample(float(at), 0.0) for at in range(3)]
    some = [Sample(float(at), done) for at, done in enumerate([0.0, 0.0, 30.0])]
    assert [(sample.at, sample.done) for sample in together([some, none])] == [(1.0, 0.0), (2.0, 30.0)]


def test_load_is_of_now_and_never_the_same_twice() -> None:
    messages = [filled(one) for one in days_of(30, 0, 1)[:5]]
    made = list(itertools.islice(now_again(messages, "m"), 15))
    events = [msgspec.json.decode(message, type=Event) for message in made]
    assert len({one.id for one in events}) == 15
    assert [key_of(message) for message in made] == [key_of(message) for message in messages] * 3
    assert events == sorted(events, key=lambda one: one.time)
    assert min(one.time.timestamp() for one in events) > messages_end(messages)


def messages_end(messages: list[bytes]) -> float:
    return max(msgspec.json.decode(message, type=Event).time.timestamp() for message in messages)


def test_latency_tells_what_was_lost() -> None:
    sent = {f"p-{n}": float(n) for n in range(100)}
    seen = {f"p-{n}": n + 0.01 * (n + 1) for n in range(99)}
    assert Latency.of(sent, seen) == Latency(count=100, lost=1, p50=0.5, p99=0.99, most=0.99)
    with pytest.raises(RuntimeError, match="none of 100"):
        Latency.of(sent, {})


def test_each_probe_is_an_incident_of_its_own() -> None:
    scorer, _ = scoring.new_scoring()
    events = [probe(f"{PROBE}x-{n}", 1_772_445_600.0 + n) for n in range(3)]
    found = [[finding.detector for finding in scorer.step(envelope).findings] for envelope in fresh(events)]
    assert all("permission_change" in detectors for detectors in found), found
    assert len({one.principal for one in events}) == 3


def test_the_tables_tell_ratios() -> None:
    pipe = Pipeline(
        Backlog(1000, 400, RATE, 80.0, 120.0, 300.0, 4, 7),
        Backlog(100, 4, Rate(50.0, 40.0, 60.0), 40.0, 240.0, 300.0, 4, 7),
    )
    assert "| of bare `poll()` | 50.0% | 25.0% |" in pipeline_table(pipe, Rate(200.0, 1.0, 2.0))
    assert "bare" not in pipeline_table(pipe)
    slow = Rate(20_000.0, 18_000.0, 22_000.0)
    told = workers_table(
        Workers(960, 400, 12, 2, 3, [Scaled(1, RATE, 1.0, 60.0, 1.0, 1.0), Scaled(2, slow, 1.75, 75.0, 1.5, 0.2)])
    )
    assert told.splitlines()[3] == "| 2 | 20,000 | 18,000 to 22,000 | 1.75 | 75 | 1.60 | 1.50, 0.30, 0.20 |"


def test_a_peer_that_is_missing_is_told_with_the_remedy() -> None:
    assert compared.installed(Path("/nowhere/python")) == {}
    rows = compared.table([Peer("Faust", "", why_not="not installed: run this"), Peer("Quix", "3", 10, 1, RATE)], RATE)
    assert "| Faust | - | not installed: run this | - | - |" in rows
    assert "| Quix | 3 | 100 | 90 to 110 | 1.00 |" in rows


def test_every_peer_has_its_script_and_its_pinned_package() -> None:
    folder = Path(compared.__file__).parent / "peers"
    pinned = {line.partition("==")[0] for line in (folder / "requirements.txt").read_text().splitlines()}
    for script in compared.SCRIPTS.values():
        assert (folder / f"{script.module}.py").exists()
        assert script.package in pinned
    subprocess.run(["bash", "-n", folder / "install.sh"], check=True, timeout=10)


def test_both_forms_of_the_peers_work_judge_alike() -> None:
    principal = Principal()
    state: dict[str, Any] = {}
    unusual = 0
    for n in range(60):
        message = filled(event(n, kind="transfer", bytes_out=1000 + n if n != 50 else 10**9))
        (score, new), (plain, plain_new) = (
            principal.take(peers_decode(message)), Plain.take(state, peers_decode(message)),
        )  # fmt: skip
        assert new == plain_new
        assert plain == pytest.approx(score, rel=1e-3, abs=1e-3)
        unusual += score > 6
        state = json.loads(json.dumps(state))
    assert unusual == 1
    assert state["events"] == 60 > KNOWN_FOR


def test_principals_are_taken_over_and_all_of_them_wake(tmp_path: Path) -> None:
    company = growth._company(60, 1, 1)
    (tmp_path / "company").write_bytes(msgspec.msgpack.encode(company))
    growth._save(tmp_path / "state-2", company, 2)
    held = growth.hold(str(tmp_path), "2")
    assert held.principals == 2 * len(company.rows) > 100
    assert held.rate.median > 0
    assert held.in_use >= held.as_rows > 0
    assert held.ready == held.principals
