"""Reload: what takes effect, between which events, that nothing is forgotten, that mistakes change nothing."""

import hashlib
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from detector import assembly, signals
from detector.adjustments import Adjustments
from detector.alerts import Alert
from detector.checkpoints import CheckpointStore
from detector.config import Config
from detector.config_base import ConfigError
from detector.config_changes import differences, refusals
from detector.config_file import load, read
from detector.config_paths import dotted
from detector.config_versions import short_hash
from detector.config_watch import FileWatch
from detector.correlate_stage import CorrelateStage
from detector.detectors import REGISTRY
from detector.events import Envelope
from detector.metrics import Metrics
from detector.monitoring import RELOAD_PATH, MonitoringServer
from detector.outputs import Outputs
from detector.records import ConfigVersion
from detector.reload_request import address, ask
from detector.reloading import STATUS, Reloaded, Reloader, ReloadLoop
from detector.score_stage import ScoreStage
from detector.scoring import Scoring
from detector.sinks.base import Batch, Noun, Refused, Sink
from detector.sinks.runner import SinkRunner
from detector.sources.base import Record
from detector.stages import Stage, StageShell
from detector.switching import Step, Switch
from tests.support.nouns import a_finding
from tests.support.score_stage import record, stage_of
from tests.support.simulator.background import background
from tests.support.simulator.rhythm import Period
from tests.support.simulator.trail import utc
from tests.support.simulator.world import SMALL, build_world

PARTITION = ("events", 0)
FINDINGS = ("findings", 0)
PLAIN = Config()
STRICTER = Config.model_validate(
    {
        "detectors": {"transfer_rate": {"outside_p": 1e-9}, "new_endpoint": {"external_p": 1e-3}},
        "budget": {"alerts_per_day": 0.01},
        "overrides": [{"name": "o", "reason": "r", "roles": ["*"], "detectors": ["behaviour"], "threshold": 9}],
    }
)
WITHOUT = Config.model_validate({"detectors": {"transfer_rate": {"enabled": False}, "behaviour": {"enabled": False}}})


@pytest.fixture(scope="module")
def log() -> list[Envelope]:
    """Two days of a small company."""
    events = background(build_world(7, SMALL), Period(utc(2026, 3, 2), utc(2026, 3, 4)))
    return [Envelope(item, *PARTITION, i, item.time.timestamp(), b"") for i, item in enumerate(events)]


def opened(config: Config, snapshot: Any = None) -> Scoring:
    scoring = assembly.scoring(config)
    scoring.open(PARTITION, snapshot)
    if snapshot is not None:
        scoring.settle()
    return scoring


def said(scoring: Scoring, events: list[Envelope]) -> list[bytes]:
    return [msgspec.json.encode(scoring.step(item)) for item in events]


# --- the first stage


@pytest.mark.parametrize("config", [STRICTER, WITHOUT], ids=["stricter", "without"])
def test_a_reload_is_a_restart_at_that_event_without_the_restart(log: list[Envelope], config: Config) -> None:
    at = random.Random(3).randrange(len(log) // 3, len(log))
    running = opened(PLAIN)
    said(running, log[:at])
    saved = msgspec.msgpack.decode(msgspec.msgpack.encode(running.snapshot(PARTITION)))
    restarted = opened(config, saved)
    reloaded = assembly.scoring(config)
    reloaded.take_over(running)
    assert reloaded.snapshot(PARTITION) == saved
    assert said(reloaded, log[at:]) == said(restarted, log[at:])
    assert reloaded.snapshot(PARTITION) == restarted.snapshot(PARTITION)


def test_what_is_judged_alike_goes_on_alike(log: list[Envelope]) -> None:
    """Only the hash of the configuration differs, however often it was reloaded."""
    scoring, found = opened(PLAIN), []
    for i, item in enumerate(log):
        if i % 500 == 250:
            another = assembly.scoring(Config.model_validate({"content": {"keep": i % 1000 == 250}}))
            another.take_over(scoring)
            scoring = another
        found += [msgspec.structs.replace(finding, config="") for finding in scoring.step(item).findings]
    never = opened(PLAIN)
    expected = [msgspec.structs.replace(f, config="") for item in log for f in never.step(item).findings]
    assert found == expected
    assert found
    assert scoring.snapshot(PARTITION) == never.snapshot(PARTITION)


def test_a_detector_that_is_switched_off_knows_what_it_knew_when_it_is_switched_on(log: list[Envelope]) -> None:
    half = len(log) // 2
    running = opened(PLAIN)
    said(running, log[:half])

    def known(scoring: Scoring) -> dict[str, Any]:
        return {row[0]: row[-1].get("transfer_rate") for row in scoring.snapshot(PARTITION)["principals"]}

    before = known(running)
    off = assembly.scoring(WITHOUT)
    off.take_over(running)
    said(off, log[half:])
    assert {name: state for name, state in known(off).items() if name in before} == before
    restored = opened(WITHOUT, msgspec.msgpack.decode(msgspec.msgpack.encode(off.snapshot(PARTITION))))
    assert known(restored) == known(off), "a restart keeps it, too"
    on = assembly.scoring(PLAIN)
    on.take_over(restored)
    assert known(on) == known(off)
    assert not on.step(log[0]).error


def test_a_capture_under_way_is_of_the_moment_at_which_it_began(log: list[Envelope]) -> None:
    half = len(log) // 2
    running = opened(PLAIN)
    said(running, log[:half])
    whole = running.snapshot(PARTITION)
    head, principals = running.capture(PARTITION, whole=True)
    rows = principals.take(3)
    reloaded = assembly.scoring(WITHOUT)
    reloaded.take_over(running)
    said(reloaded, log[half:])
    while more := principals.take(5):
        rows += more
    twin = opened(PLAIN, {**head, "principals": rows})
    assert twin.snapshot(PARTITION) == {**whole, "priors_version": twin.snapshot(PARTITION)["priors_version"]}


def test_event_time_rules_are_those_of_the_new_configuration(log: list[Envelope]) -> None:
    running = opened(PLAIN)
    said(running, log)
    late = msgspec.structs.replace(log[0].event, id="late")
    strict = assembly.scoring(Config.model_validate({"scoring": {"allowed_lateness": 60}}))
    strict.take_over(running)
    assert strict.step(msgspec.structs.replace(log[0], event=late)).verdict == "late"


# --- what can change


def test_a_list_is_one_setting_and_a_charter_is_many() -> None:
    one = {"mutes": [], "charters": {"roles": {"mover": {"needs_approval": ["delete"]}}}}
    other = {
        "overrides": [{"name": "o", "reason": "r", "roles": ["*"], "threshold": 9}],
        "charters": {"roles": {"mover": {"needs_approval": []}}},
        "budget": {"detectors": {"transfer_rate": 0.1}},
    }
    changed = differences(Config.model_validate(one), Config.model_validate(other))
    assert list(map(dotted, changed)) == [
        "budget.detectors",
        "charters.roles.mover.needs_approval",
        "overrides",
        "budget.detectors.transfer_rate",
    ]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("kafka: {group_id: others}", "kafka.group_id"),
        ("kafka: {instance_id: other}", "kafka.instance_id"),
        ("format: auto", "format"),
        ("sources: [{topic: trail, format: okta}]", "sources"),
        ("store: {url: 'chdb:///x'}", "store.url"),
        ("audit: {anchor_every: 7}", "audit.anchor_every"),
        ("state: {url: /elsewhere}", "state.url"),
        ("metrics: {port: 9}", "metrics.port"),
        ("alertmanager: {url: 'http://127.0.0.1:9093'}", "alertmanager.url"),
        ("webhook: {url: 'http://127.0.0.1:9', secret: {env: K}}", "webhook.url"),
        ("scoring: {max_principals: 9}", "scoring.max_principals"),
        ("scoring: {max_ready: 9}", "scoring.max_ready"),
        ("scoring: {idle_days: 9}", "scoring.idle_days"),
        ("scoring: {dedup_window: 9}", "scoring.dedup_window"),
        ("detectors: {transfer_rate: {season: false}}", "detectors.transfer_rate.season"),
        ("detectors: {transfer_rate: {anchor: false}}", "detectors.transfer_rate.anchor"),
    ],
)
def test_connections_and_bounds_take_a_restart(tmp_path: Path, text: str, name: str) -> None:
    file = tmp_path / "detector.yaml"
    file.write_text(f"\n{text}\n")
    loaded = read(file, {})
    told = refusals(differences(PLAIN, loaded.config), loaded)
    remedy = f"`{name}` can't be changed while the service runs: restart it, or take it back"
    assert any(line.endswith(remedy) for line in told)
    assert f"{file}:2: {remedy}" in told


@pytest.mark.parametrize(
    "text",
    [
        "budget: {alerts_per_day: 3}",
        "scoring: {allowed_lateness: 5}",
        "detectors: {transfer_rate: {enabled: false}}",
        "correlation: {window: 5}",
        "mutes: [{name: m, reason: r, owner: o, expires: 2027-01-01T00:00:00Z, roles: [x]}]",
        "overrides: [{name: m, reason: r, roles: [x], threshold: 5}]",
        "labels: {principals: [{match: [x], role: y}]}",
        "destinations: {approved: [x.example]}",
        "charters: {agents: {x: {needs_approval: [delete]}}}",
        "control: {issuers: [{ids: [x]}]}",
        "content: {keep: true}",
    ],
)
def test_what_is_judged_by_takes_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "detector.yaml"
    file.write_text(text)
    loaded = read(file, {})
    changed = differences(PLAIN, loaded.config)
    assert changed
    assert not refusals(changed, loaded)


# --- a reload of running stages


class Kept(Sink):
    """Keeps which configurations came into force."""

    name = "kept"
    accepts: frozenset[Noun] = frozenset({"versions", "actions"})

    def __init__(self) -> None:
        self.versions: list[ConfigVersion] = []
        self.actions: list[dict[str, Any]] = []

    def write(self, batch: Batch) -> list[Refused]:
        """Keep them."""
        self.versions += batch.versions
        self.actions += [{"action": action.action, **action.details} for action in batch.actions]
        return []

    def close(self) -> None:
        """Nothing is held."""


def correlating(folder: Path) -> CorrelateStage:
    shell = StageShell(
        connect=lambda _: None,  # type: ignore[arg-type, return-value]
        outputs=Outputs([]),
        checkpoints=CheckpointStore(str(folder), "correlate"),
        metrics=Metrics(),
        stop=threading.Event(),
    )
    stage = CorrelateStage(shell, lambda: assembly.correlator(PLAIN), lambda _: None)
    stage.on_assigned([FINDINGS])
    return stage


@contextmanager
def coming_round(*stages: Stage) -> Iterator[None]:
    """Loops that do what they are given, as the stages' own do."""
    stop = threading.Event()

    def loop(stage: Stage) -> None:
        while not stop.wait(0.001):
            stage._errands.run()

    threads = [threading.Thread(target=loop, args=(stage,)) for stage in stages]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def reloader(path: Path | None, *stages: Stage, config: Config = PLAIN, patience: float = 10.0) -> Reloader:
    metrics = stages[0].shell.metrics if stages else Metrics()
    return Reloader(
        config, path, stages, adjustments=Adjustments(), metrics=metrics, clock=lambda: 1e9, patience=patience
    )


def counted(metrics: Metrics) -> dict[str, float]:
    """Reloads by outcome, and whether the last one worked."""
    sample = metrics.registry.get_sample_value
    outcomes = ("changed", "unchanged", "failed")
    told = {name: sample("detector_config_reloads_total", {"outcome": name}) or 0.0 for name in outcomes}
    return {**told, "worked": sample("detector_config_reload_success") or 0.0}


def test_every_stage_judges_by_it_and_the_auditors_are_told(tmp_path: Path) -> None:
    score, correlate, file = stage_of(tmp_path, [PARTITION]), correlating(tmp_path), tmp_path / "detector.yaml"
    rule = next(iter(REGISTRY["new_endpoint"].rules))
    finding = signals.encode(a_finding(1, rule=rule, severity="SEV1", score=1.0, p_value=None))
    (alert,) = correlate.take({FINDINGS: [Record(*FINDINGS, 0, None, finding, 0.0)]}, set()).alerts
    kept = Kept()
    runner = SinkRunner(kept)
    score.shell = msgspec.structs.replace(score.shell, outputs=Outputs([runner]))
    file.write_text("budget: {alerts_per_day: 7}\ncorrelation: {window: 60}\n")
    made = reloader(file, score, correlate)
    with coming_round(score, correlate):
        done = made.reload("request")
    config = load(file)
    assert done == Reloaded(
        "changed", [f"{short_hash(config)} is in force; 2 settings changed: budget.alerts_per_day, correlation.window"]
    )
    score._errands.run()
    runner.start()
    assert runner.close(10.0)
    assert [(version.hash[:16], version.source) for version in kept.versions] == [(short_hash(config), "reload")]
    changed = ["budget.alerts_per_day", "correlation.window"]
    assert kept.actions == [{"action": "reload", "by": "request", "before": short_hash(PLAIN), "changed": changed}]
    correlator = correlate._owned[FINDINGS].correlator
    assert [one.id for one in correlator.open()] == [alert.id], "incidents are kept"
    (ended,) = correlator.advance(4e9).alerts
    assert isinstance(ended, Alert)
    assert ended.config == short_hash(config)
    assert counted(made._metrics) == {"changed": 1, "unchanged": 0, "failed": 0, "worked": 1}


def test_events_that_come_after_it_are_decoded_and_judged_by_it(tmp_path: Path, log: list[Envelope]) -> None:
    stage, file = stage_of(tmp_path, [PARTITION]), tmp_path / "detector.yaml"
    base = "kafka: {topics: {events: events}}\n"
    file.write_text(base)
    config = load(file)
    file.write_text(f"{base}labels: {{principals: [{{match: ['*'], role: relabelled}}]}}\n")
    anonymous = [
        msgspec.structs.replace(item.event, actor=msgspec.structs.replace(item.event.actor, role=""))
        for item in log[:2]
    ]
    before = stage.take({PARTITION: [record(anonymous[0], PARTITION, 0)]}, {PARTITION})
    with coming_round(stage):
        assert reloader(file, stage, config=config).reload("file").worked
    after = stage.take({PARTITION: [record(anonymous[1], PARTITION, 1)]}, {PARTITION})
    assert [item.event.actor.role for item, _ in (*before.events, *after.events)] == ["", "relabelled"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("budget: {alerts_per_day: many}", "must be a number"),
        ("kafka: {group_id: others}", "`kafka.group_id` can't be changed while the service runs"),
        ("detectors: {forest_challenger: {model: nowhere.skops}}", "nowhere.skops"),
        (None, "No such file or directory"),
    ],
)
def test_what_is_wrong_leaves_all_as_it_was(tmp_path: Path, text: str | None, why: str) -> None:
    stage, file = stage_of(tmp_path, [PARTITION]), tmp_path / "detector.yaml"
    if text is not None:
        file.write_text(text)
    before = stage.scoring
    made = reloader(file, stage)
    with coming_round(stage), capture_logs() as logs:
        done = made.reload("signal")
    assert (done.outcome, stage.scoring) == ("failed", before)
    assert why in "\n".join(done.lines)
    assert made.config == PLAIN
    assert counted(made._metrics) == {"changed": 0, "unchanged": 0, "failed": 1, "worked": 0}
    (line,) = [line for line in logs if line["event"] == "config_reload_failed"]
    assert (line["log_level"], line["why"], line["by"]) == ("error", done.lines, "signal")
    file.write_text("")
    assert made.reload("signal").outcome == "unchanged"
    assert counted(made._metrics)["worked"] == 1


def test_a_secret_that_is_gone_is_told_before_a_restart_misses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = "webhook: {url: 'http://127.0.0.1:9', secret: {env: HOOK_KEY}}\n"
    file = tmp_path / "detector.yaml"
    file.write_text(hook)
    stage, config = stage_of(tmp_path, [PARTITION]), load(file)
    file.write_text(f"{hook}budget: {{alerts_per_day: 7}}\n")
    monkeypatch.delenv("HOOK_KEY", raising=False)
    gone = "warning: the environment variable HOOK_KEY is not set: a secret is kept there; a restart would miss it"
    made = reloader(file, stage, config=config)
    with coming_round(stage):
        assert made.reload("file").lines[1:] == [gone]
        assert made.reload("file") == Reloaded(
            "unchanged", [f"nothing has changed: {short_hash(load(file))} is in force", gone]
        )
        monkeypatch.setenv("HOOK_KEY", "hunter2")
        assert len(made.reload("file").lines) == 1


def test_incidents_that_cannot_be_taken_on_fail_the_reload_and_scoring_is_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score, correlate, file = stage_of(tmp_path, [PARTITION]), correlating(tmp_path), tmp_path / "detector.yaml"
    file.write_text("budget: {alerts_per_day: 7}\n")

    def broken(_: object) -> None:
        raise RuntimeError("a shape that nobody thought of")

    monkeypatch.setattr(correlate, "go_on_with", broken)
    before = score.scoring
    with coming_round(score, correlate), capture_logs():
        done = reloader(file, score, correlate).reload("request")
    assert done == Reloaded("failed", ["RuntimeError: a shape that nobody thought of"])
    assert score.scoring is before


def test_a_stage_that_is_at_a_long_batch_takes_it_up_afterwards_and_it_is_not_in_force_before(tmp_path: Path) -> None:
    stage, file = stage_of(tmp_path, [PARTITION]), tmp_path / "detector.yaml"
    file.write_text("budget: {alerts_per_day: 7}\n")
    before, made = stage.scoring, reloader(file, stage, patience=0.0)
    done = made.reload("request")
    assert (done.outcome, done.worked, made.config) == ("pending", False, PLAIN)
    assert "score is at a batch" in done.lines[0]
    assert made.reload("request").lines[0].endswith("of the reload before this one")
    assert stage.scoring is before
    assert counted(made._metrics)["changed"] == 0
    stage._errands.run()
    assert stage.scoring is not before
    assert made.config == load(file)
    assert counted(made._metrics)["changed"] == 1
    assert made.reload("request").outcome == "unchanged"


def test_scoring_waits_for_correlation_and_a_late_failure_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score, correlate, file = stage_of(tmp_path, [PARTITION]), correlating(tmp_path), tmp_path / "detector.yaml"
    file.write_text("budget: {alerts_per_day: 7}\n")
    before, made = score.scoring, reloader(file, score, correlate, patience=0.0)
    monkeypatch.setattr(correlate, "go_on_with", failing)
    assert made.reload("request").outcome == "pending"
    score._errands.run()
    with capture_logs() as logs:
        correlate._errands.run()
    score._errands.run()
    assert score.scoring is before, "never given what correlation could not take on"
    assert [line["why"] for line in logs if line["event"] == "config_reload_failed"] == [["RuntimeError: a shape"]]
    assert (made.config, counted(made._metrics)["failed"]) == (PLAIN, 1)


def test_where_scoring_fails_correlation_goes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    score, correlate, file = stage_of(tmp_path, [PARTITION]), correlating(tmp_path), tmp_path / "detector.yaml"
    file.write_text("correlation: {window: 60}\n")
    monkeypatch.setattr(score, "go_on_with", failing)
    made = reloader(file, score, correlate, patience=0.0)
    assert made.reload("request").outcome == "pending"
    with capture_logs():
        for stage in (correlate, score, correlate):
            stage._errands.run()
    assert made.reload("request").outcome == "pending", "what failed is tried again"
    correlator = correlate._owned[FINDINGS].correlator
    assert correlator._settings == PLAIN.correlation


def failing(*_: object) -> None:
    raise RuntimeError("a shape")


def test_a_stage_before_it_is_taken_back_on_its_own_thread(tmp_path: Path) -> None:
    """And one that fails at that leaves the loop running."""
    first, second = stage_of(tmp_path / "a", [PARTITION]), stage_of(tmp_path / "b", [PARTITION])
    ended: list[Exception | None] = []
    switch = Switch([Step(first, lambda: None, failing), Step(second, failing, failing)], ended.append)
    switch.begin()
    with capture_logs() as logs:
        for stage in (first, second, first):
            stage._errands.run()
    assert [str(one) for one in ended] == ["a shape"]
    assert switch.over.is_set()
    assert [line["event"] for line in logs] == ["config_not_taken_on", "config_not_taken_back"]


def test_another_model_by_the_same_name_is_a_change_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, file, read_ones = tmp_path / "m.skops", tmp_path / "detector.yaml", list[bytes]()
    model.write_bytes(b"one")
    file.write_text(f"detectors: {{forest_challenger: {{model: {model}}}}}\n")
    stage = stage_of(tmp_path, [PARTITION])
    monkeypatch.setattr(assembly, "challenger", lambda _: read_ones.append(model.read_bytes()))
    made = reloader(file, stage, config=load(file))
    with coming_round(stage):
        assert made.reload("request").outcome == "unchanged"
        model.write_bytes(b"two")
        done = made.reload("request")
        assert made.reload("request").outcome == "unchanged"
    assert done.outcome == "changed"
    digest = hashlib.sha256(b"two").hexdigest()
    assert done.lines[1] == f"detectors.forest_challenger.model is the file of SHA-256 {digest}"
    assert read_ones == [b"two"]


def test_a_checkpoint_follows_at_once(tmp_path: Path) -> None:
    """So that a crash later makes little of what was judged before it be judged anew."""
    stage = stage_of(tmp_path, [PARTITION], every=1e6)
    before = stage.checkpointed_at
    done = stage.between_batches(lambda: None)
    stage._turn(ended(stage))
    assert done.is_set()
    assert stage.checkpointed_at > before
    assert isinstance(stage, ScoreStage)


def ended(stage: ScoreStage) -> Any:
    """A source that has nothing more."""

    class Empty:
        def poll(self, _: float) -> dict[Any, Any]:
            stage.shell.stop.set()
            return {}

        def caught_up(self) -> set[Any]:
            return set()

        def lag(self) -> dict[Any, Any]:
            return {}

        def pause(self, _: object) -> None:
            """Nothing flows."""

        resume = pause

    return Empty()


# --- what asks for it


def test_files_are_changed_once_they_have_come_to_rest(tmp_path: Path) -> None:
    file = tmp_path / "detector.yaml"
    file.write_text("state: {}")
    watch = FileWatch(file)
    assert [watch.changed() for _ in range(3)] == [False, False, False]
    file.write_text("state: {every: 5}")
    assert watch.changed() is False, "somebody may still be at it"
    file.write_text("state: {every: 50}")
    assert [watch.changed() for _ in range(3)] == [False, True, False]
    file.unlink()
    assert [watch.changed() for _ in range(3)] == [False, True, False]


def test_a_folder_is_changed_by_a_file_more_and_by_a_link_that_leads_elsewhere(tmp_path: Path) -> None:
    for name, text in (("old", "state: {}"), ("new", "state: {every: 7}")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.yaml").write_text(text)
    conf = tmp_path / "conf"
    conf.mkdir()
    (conf / "..data").symlink_to(tmp_path / "old")
    (conf / "a.yaml").symlink_to(conf / "..data" / "a.yaml")
    watch = FileWatch(conf)
    (conf / "notes.txt").write_text("no configuration")
    assert [watch.changed(), watch.changed()] == [False, False]
    (conf / "..data").unlink()
    (conf / "..data").symlink_to(tmp_path / "new")
    assert [watch.changed(), watch.changed()] == [False, True]
    (conf / "b.yml").write_text("")
    assert [watch.changed(), watch.changed()] == [False, True]
    assert load(conf).state.every == 7.0


def test_what_was_asked_for_while_a_reload_was_under_way_is_asked_for_again() -> None:
    asked, came, stop = list[str](), threading.Semaphore(0), threading.Event()

    def reload(by: str) -> Reloaded:
        asked.append(by)
        came.release()
        return Reloaded("pending" if len(asked) < 3 else "unchanged", [])

    loop = ReloadLoop(reload, stop, every=0.005)
    loop.start()
    loop.ask()
    assert all(came.acquire(timeout=30) for _ in range(3))
    stop.set()
    loop.join(30)
    assert asked == ["signal", "file", "file"]


def test_the_loop_reloads_on_a_signal_and_on_a_change(tmp_path: Path) -> None:
    file = tmp_path / "detector.yaml"
    file.write_text("")
    asked, came, stop = list[str](), threading.Semaphore(0), threading.Event()

    def reload(by: str) -> Reloaded:
        asked.append(by)
        came.release()
        return Reloaded("unchanged", [])

    loop = ReloadLoop(reload, stop, (FileWatch(file),), every=0.005)
    loop.start()
    loop.ask()
    assert came.acquire(timeout=30)
    file.write_text("state: {every: 5}")
    assert came.acquire(timeout=30)
    stop.set()
    loop.join(30)
    assert asked == ["signal", "file"]
    assert not loop.is_alive()


def test_who_asks_is_told_that_it_is_not_in_force_yet() -> None:
    posts = {RELOAD_PATH: lambda _: (STATUS["pending"], ["not in force yet: score is at a batch"])}
    with MonitoringServer(CollectorRegistry(), port=0, posts=posts) as server:
        settings = Config.model_validate({"metrics": {"port": server.port}}).metrics
        with pytest.raises(ConfigError, match=r"not in force yet: score is at a batch$"):
            ask(address(settings), settings)


@pytest.fixture(autouse=True)
def plain_logs() -> Iterator[None]:
    """Whatever configured the logs before, these tests see their lines."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()
