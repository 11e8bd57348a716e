"""A state that was saved and restored is the one that went on, in every field's type, and says the same bytes."""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any, Final

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detector import assembly, signals
from detector.checkpoints import Part, Piece
from detector.checkpoints.pieces import decode
from detector.config import Config
from detector.correlation import Correlator
from detector.detectors import REGISTRY
from detector.events import Envelope, Event
from detector.principals import UNTOUCHED, Packed
from detector.scoring import Scoring
from models.tail import Tail, TailParams
from tests.support import wild
from tests.support.alike import differences
from tests.support.checks import must_fail
from tests.support.nouns import a_finding
from tests.support.simulator.background import background
from tests.support.simulator.rhythm import Period
from tests.support.simulator.scenarios import SCENARIOS
from tests.support.simulator.trail import utc
from tests.support.simulator.world import SMALL, build_world

PARTITIONS: Final = [("events", 0), ("events", 1)]
ROOMY: Final = Config()
# So small that principals, ids and endpoints are forgotten all the time.
TIGHT: Final = Config.model_validate({"scoring": {"max_principals": 15, "dedup_window": 60, "idle_days": 0.5}})

# Events of an example after each of which a checkpoint is made.
LAST: Final = 12

Parts = dict[tuple[str, int], list[Part]]


def placed(events: Iterable[Event]) -> list[Envelope]:
    """The events in two partitions, by their principals."""
    found = []
    for offset, item in enumerate(events):
        partition = sum(item.principal.encode("utf-8", "surrogatepass")) % len(PARTITIONS)
        found.append(Envelope(item, *PARTITIONS[partition], offset, item.time.timestamp(), b""))
    return found


def opened(config: Config, parts: Parts | None = None) -> Scoring:
    """Scoring with its partitions, restored from what was saved of them."""
    scoring = assembly.scoring(config)
    for partition in PARTITIONS:
        states = [{**part.head, "principals": part.rows} for part in (parts or {}).get(partition, ())]
        scoring.open(partition, *((states[0], states[1:]) if states else ()))
    scoring.settle()
    return scoring


def unpack(scoring: Scoring) -> None:
    """Read every principal out of its row, where it stands, and make what no detector had anything to do with."""
    for state in scoring._partitions.values():
        kept = state.principals._principals
        for name, known in kept.items():
            kept[name] = scoring._rows.whole(known) if isinstance(known, Packed) else known
            for detector, its in kept[name].states.items():  # type: ignore[union-attr]
                if its is UNTOUCHED or isinstance(its, msgspec.Raw):
                    raw = scoring._rows._blank[detector] if its is UNTOUCHED else its
                    kept[name].states[detector] = scoring._rows._detectors[detector].read(raw)  # type: ignore[union-attr]


def resumed(config: Config, correlator: Correlator) -> Correlator:
    """A second stage that goes on from where another stands."""
    twin = assembly.correlator(config)
    twin.restore(decode(Piece({"state": correlator.snapshot()}, whole=True).encode()).head["state"])
    return twin


@dataclass
class Run:
    """Both stages, and their twins of the last checkpoint, which must say the same from then on."""

    config: Config
    parts: Parts = field(default_factory=dict)
    findings: int = 0
    alerts: int = 0

    def __post_init__(self) -> None:
        self.scoring, self.correlator = opened(self.config), assembly.correlator(self.config)
        self.twin, self.correlator_twin = opened(self.config), assembly.correlator(self.config)

    def step(self, envelope: Envelope) -> None:
        """One event through both stages, with the findings topic between them."""
        scored = self.scoring.step(envelope)
        assert msgspec.json.encode(self.twin.step(envelope)) == msgspec.json.encode(scored)
        for finding in scored.findings:
            read = signals.decode(signals.encode(finding))
            assert not differences(finding, read), finding
            self._correlate(lambda stage, read=read: stage.step(read))  # type: ignore[misc]
            self.findings += 1
        self._correlate(lambda stage: stage.advance(envelope.event.time.timestamp() // 60.0 * 60.0))

    def _correlate(self, act: Callable[[Correlator], Any]) -> None:
        said = act(self.correlator)
        assert msgspec.json.encode(act(self.correlator_twin)) == msgspec.json.encode(said)
        for noun in (*said.findings, *said.alerts):
            assert not differences(noun, msgspec.json.decode(msgspec.json.encode(noun), type=type(noun))), noun
        self.alerts += len(said.alerts)

    def save(self, *, whole: bool) -> None:
        """A checkpoint of both partitions; both stages are restored from it, and must be the same."""
        for partition in PARTITIONS:
            before = [] if whole else self.parts.get(partition, [])
            head, principals = self.scoring.capture(partition, whole=not before)
            piece = Piece(head, whole=not before)
            piece.add(principals.take(10**9))
            self.parts[partition] = [*before, decode(piece.encode())]
        self.twin = opened(self.config, self.parts)
        unpack(self.twin)
        unpack(self.scoring)
        assert not differences(self.scoring, self.twin)
        self.correlator_twin = resumed(self.config, self.correlator)
        assert not differences(self.correlator, self.correlator_twin)


@cache
def days() -> Sequence[Event]:
    """Two days of a small company."""
    return background(build_world(7, SMALL), Period(utc(2026, 3, 4), utc(2026, 3, 6)))


@cache
def story(number: int) -> Sequence[Event]:
    """The last days of a scenario."""
    events: Sequence[Event] = SCENARIOS[number].run(5)[0]
    return events[-1500:]


@pytest.mark.parametrize("config", [ROOMY, TIGHT], ids=["roomy", "tight"])
@pytest.mark.parametrize(
    "events", [days, *((lambda number=number: story(number)) for number in range(len(SCENARIOS)))],
    ids=["days", *(scenario.name for scenario in SCENARIOS)],
)  # fmt: skip
def test_the_days_of_a_company(events: Callable[[], Sequence[Event]], config: Config) -> None:
    run, rng, due = Run(config), random.Random(3), 0
    for number, item in enumerate(placed(events())):
        run.step(item)
        if number >= due:
            run.save(whole=rng.random() < 0.3)
            due = number + rng.randrange(1, 300)
    assert run.findings


@pytest.mark.parametrize("name", REGISTRY)
def test_every_example_of_every_detector_at_every_moment(name: str) -> None:
    for example in REGISTRY[name].examples():
        run = Run(ROOMY)
        envelopes = placed(example.events)
        for item in envelopes[:-LAST]:
            run.step(item)
        run.save(whole=True)
        for item in envelopes[-LAST:]:
            run.step(item)
            run.save(whole=False)


ODD_COUNTS: Final = (0, 1, 2**31, 2**53 + 1, wild.MOST)
ODD_SECONDS: Final = (-5000.0, -0.000001, 0.25, 86400.0 * 200, -86400.0 * 400)


@st.composite
def odd(draw: st.DrawFn) -> Event:
    """An event of a scenario that is not as it should be, or one that nothing binds at all."""
    if draw(st.integers(0, 3)) == 0:
        return draw(wild.events())
    events = story(draw(st.integers(0, len(SCENARIOS) - 1)))
    event = events[draw(st.integers(0, len(events) - 1))]
    changed: dict[str, Any] = {"id": f"{event.id}-odd"}
    for name in draw(st.sets(st.sampled_from(["bytes_out", "bytes_in", "records"]))):
        changed[name] = draw(st.sampled_from(ODD_COUNTS))
    changed["time"] = event.time + timedelta(seconds=draw(st.sampled_from(ODD_SECONDS)))
    if event.target is not None and draw(st.booleans()):
        size, sensitivity = draw(st.sampled_from(ODD_COUNTS)), draw(st.sampled_from(["restricted", "unknown"]))
        changed["target"] = msgspec.structs.replace(event.target, container_size=size, sensitivity=sensitivity)
    if event.permission is not None:
        count = draw(st.none() | st.sampled_from(ODD_COUNTS))
        changed["permission"] = msgspec.structs.replace(event.permission, audience_count=count)
    if draw(st.booleans()):
        changed["kind"] = draw(st.sampled_from(["delete", "publish", "transfer", "permission", "auth"]))
    return msgspec.structs.replace(event, **changed)


@settings(max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_odd_events_among_those_of_a_story(data: st.DataObject) -> None:
    events = story(data.draw(st.integers(0, len(SCENARIOS) - 1)))
    begin = data.draw(st.integers(0, len(events) - 200))
    mixed = list(events[begin : begin + 200])
    for item in data.draw(st.lists(odd(), min_size=5, max_size=30)):
        mixed.insert(data.draw(st.integers(0, len(mixed))), item)
    moments = data.draw(st.dictionaries(st.integers(0, len(mixed)), st.booleans(), min_size=3, max_size=8))
    run = Run(data.draw(st.sampled_from([ROOMY, TIGHT])))
    for number, envelope in enumerate(placed(mixed)):
        run.step(envelope)
        if number in moments:
            run.save(whole=moments[number])


def test_sums_of_absurd_counts_can_be_saved() -> None:
    """Four reads of all the records that there can be are more than 64 bits hold."""
    correlator = assembly.correlator(ROOMY)
    shown = {"resource": "db://users", "sensitivity": "restricted", "audience": "org", "audience_count": wild.MOST}
    window = {"detector": "permission_change", "rule": "exposure", "severity": "SEV2", "entities": ("resource:db",)}
    correlator.step(a_finding(0, **window, evidence={**shown, "opens": True}))
    counts = {"records": wild.MOST, "bytes_in": wild.MOST, "before": 0}
    read = {"detector": "sensitive_read", "rule": "first_touch", "severity": "SEV4", "evidence": {**shown, **counts}}
    said = [correlator.step(a_finding(n, principal=f"reader-{n}", **read)) for n in range(1, 5)]
    assert [finding.rule for out in said for finding in out.findings] == ["unauthorised_read"]
    assert not differences(correlator, resumed(ROOMY, correlator))


def test_a_faded_tail_that_is_restored_coarsens_as_before() -> None:
    """The sum of parts that are no whole numbers depends on their order: it must be one that a restore keeps."""
    rng = random.Random(1)
    tail = Tail(TailParams(capacity=256))
    for _ in range(500):
        tail.learn_one(rng.expovariate(1.0) * 10.0 ** rng.randrange(-3, 3))
    tail.fade(0.61)
    twin = Tail(tail.params).restore(tail.snapshot())
    assert twin.draws == tail.draws
    coarse = Tail(tail.params)
    for _ in range(500):
        coarse.learn_one(rng.lognormvariate(0.0, 30.0))
    for each in (tail, twin):
        each.merge(coarse)
    assert twin.snapshot() == tail.snapshot()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([1], [1.0]),
        ({"a": 0.0}, {"a": -0.0}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ((1,), [1]),
        (True, 1),
        ({1}, {2}),
    ],
    ids=repr,
)
def test_what_is_merely_equal_is_not_the_same(one: Any, other: Any) -> None:
    assert not differences(one, one)
    must_fail(lambda: _same(one, other))


def _same(one: Any, other: Any) -> None:
    assert not differences(one, other)
