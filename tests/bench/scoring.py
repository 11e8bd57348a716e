"""What scoring costs: microseconds an event, in all and by detector, and as the number of principals grows.

A company of the simulator is scored for a week, so that its principals have habits, and then measured: whole working
days, everything included that comes with an hour's and a day's end; and busy hours of that company alone beside the
same hours of many like it, all in one partition. Events are decoded anew for each measurement, since live no string
was hashed before it is scored.
"""

import gc
import statistics
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

import msgspec

from detector import assembly, garbage
from detector.config import Config
from detector.detectors.base import Context, Detector, DetectorSettings, Example
from detector.events import KINDS, Actor, Envelope, Event
from detector.findings import Finding
from detector.scoring import Scoring
from tests.bench.stream import DAY, PARTITION, copied, days_of, fresh

PRINCIPALS: Final = 1_000
COPIES: Final = 100
# Of so many copies of the company as can be scored in a few seconds, each hour others work.
AT_WORK: Final = 20
BUSY: Final = range(10, 15)


class Cost(msgspec.Struct, frozen=True):
    """Microseconds an event: the median of repetitions, and the spread from best to worst."""

    name: str
    microseconds: float
    best: float
    worst: float

    @classmethod
    def of(cls, name: str, costs: Sequence[float]) -> "Cost":
        """The cost that repetitions came to."""
        return cls(name, *(round(cost, 2) for cost in (statistics.median(costs), min(costs), max(costs))))


class ScoringCosts(msgspec.Struct, frozen=True):
    """All that is measured: over whole days by detector, over busy hours by number of principals.

    `growth` is what an event costs with the most principals, by what it costs with the fewest; `longest_pause` the
    longest that one event took (milliseconds), an hour's or a day's end among them.
    """

    events: int
    days: Cost
    by_detector: list[Cost]
    by_principals: list[Cost]
    growth: float
    longest_pause: float


class _Nothing(Detector[None]):
    """Does nothing: what it takes is what measuring takes."""

    name = "nothing"
    rules: ClassVar[Mapping[str, str]] = {}
    runbook = "None."
    tags = ()
    kinds = frozenset(KINDS)

    def new_state(self) -> None:
        """None."""

    def detect(self, event: Event, state: None, context: Context) -> Iterable[Finding]:  # noqa: ARG002
        """Nothing."""
        return ()

    def learn(self, event: Event, state: None, context: Context, found: Sequence[Finding]) -> None:
        """Nothing."""

    def dump(self, state: None) -> None:
        """Nothing."""

    def load(self, data: Any) -> None:
        """Nothing."""

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """None."""
        return ()


class _Timed(Detector[Any]):
    """A detector with a stop watch."""

    rules: ClassVar[Mapping[str, str]] = {}
    runbook = "That of the detector."
    tags = ()
    kinds = frozenset(KINDS)

    def __init__(self, watched: Detector[Any]) -> None:
        super().__init__(watched.settings)
        self._watched = watched
        self.name, self.kinds, self.channels = watched.name, watched.kinds, watched.channels  # type: ignore[misc]
        self.new_state, self.dump, self.load = watched.new_state, watched.dump, watched.load  # type: ignore[method-assign]
        self.spent = self.calls = 0

    def concerns(self, event: Event, state: Any, context: Context) -> bool:
        """As it says."""
        begin = time.thread_time_ns()
        concerned = self._watched.concerns(event, state, context)
        self.spent += time.thread_time_ns() - begin
        self.calls += 1
        return concerned

    def detect(self, event: Event, state: Any, context: Context) -> Iterable[Finding]:
        """What it finds, all of it at once."""
        begin = time.thread_time_ns()
        found = list(self._watched.detect(event, state, context))
        self.spent += time.thread_time_ns() - begin
        self.calls += 1
        return found

    def suspects(self, event: Event, state: Any, context: Context) -> bool:
        """Whether it does."""
        begin = time.thread_time_ns()
        suspect = self._watched.suspects(event, state, context)
        self.spent += time.thread_time_ns() - begin
        self.calls += 1
        return suspect

    def learn(self, event: Event, state: Any, context: Context, found: Sequence[Finding]) -> None:
        """As it does."""
        begin = time.thread_time_ns()
        self._watched.learn(event, state, context, found)
        self.spent += time.thread_time_ns() - begin
        self.calls += 1

    def new_state(self) -> Any:
        """As it does."""

    def dump(self, state: Any) -> Any:
        """As it does."""

    def load(self, data: Any) -> Any:
        """As it does."""

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """None."""
        return ()


def run(scoring: Scoring, envelopes: Sequence[Envelope]) -> float:
    """Score them; microseconds of CPU an event.

    Raises:
        RuntimeError: One of them could not be scored, so that what was measured is something else.
    """
    gc.collect()
    step, begin = scoring.step, time.process_time()
    scored = [step(envelope) for envelope in envelopes]
    spent = time.process_time() - begin
    for one in scored:
        if one.verdict not in {"scored", "late"}:
            raise RuntimeError(f"an event that should be scored is of verdict {one.verdict}: {one.error}")
    return spent / len(envelopes) * 1e6


def new_scoring(*, timed: bool = False) -> tuple[Scoring, list[_Timed]]:
    """Scoring as configured by default; with `timed` each detector has a stop watch."""
    config = Config.model_validate({"scoring": {"max_principals": 1_000_000}})
    built: list[Detector[Any]] = [*assembly.detectors(config)]
    watches = [_Timed(detector) for detector in [_Nothing(DetectorSettings()), *built]] if timed else []
    scoring = Scoring(watches or built, config.scoring, budget=config.budget)
    scoring.open(PARTITION)
    return scoring, watches


@garbage.spared()  # as live
def measure(repetitions: int = 5, principals: int = PRINCIPALS, copies: int = COPIES, history: int = 3) -> ScoringCosts:
    """Whole days, then busy hours.

    Args:
        repetitions: Days, and hours, that are measured: at most five.
        principals: In the company.
        copies: Companies like it in the larger measurement of hours.
        history: Days that the company was known before, at most seven.
    """
    past = fresh(days_of(principals, 0, history))
    days = [days_of(principals, 7 + day, 1) for day in range(repetitions)]
    plain, _ = new_scoring()
    run(plain, past)
    head, kept = plain.capture(PARTITION, whole=True)
    rows = kept.take(len(past))
    whole, pause = _over_days(plain, days)
    by_detector = _by_detector(head, rows, days)
    busy = hours_of(days[0], repetitions)
    few, many = (_over_hours(head, rows, busy, number) for number in (1, copies))
    return ScoringCosts(
        events=sum(map(len, days)),
        days=whole,
        by_detector=by_detector,
        by_principals=[few, many],
        growth=round(many.microseconds / few.microseconds, 2),
        longest_pause=round(pause, 1),
    )


def _over_days(scoring: Scoring, days: Sequence[Sequence[Event]]) -> tuple[Cost, float]:
    """What an event costs, and the longest that one took (milliseconds), told by another pass over the last day."""
    costs = [run(scoring, fresh(day)) for day in days]
    longest = 0.0
    for envelope in fresh(_later(day, 7) for day in days[-1]):
        begin = time.perf_counter()
        scoring.step(envelope)
        longest = max(longest, time.perf_counter() - begin)
    return Cost.of("all", costs), longest * 1e3


def _later(event: Event, days: int) -> Event:
    return msgspec.structs.replace(event, id=f"{event.id}+{days}", time=event.time + days * DAY)


def _by_detector(head: Mapping[str, Any], rows: Sequence[bytes], days: Sequence[Sequence[Event]]) -> list[Cost]:
    """By detector, dearest first, without what the stop watches take; what is left is scoring itself."""
    scoring, watches = new_scoring(timed=True)
    scoring.open(PARTITION, {**head, "principals": rows})
    scoring.settle()
    costs: dict[str, list[float]] = {watch.name: [] for watch in watches[1:]}
    for day in days:
        for watch in watches:
            watch.spent = watch.calls = 0
        run(scoring, fresh(day))
        overhead = watches[0].spent / watches[0].calls
        for watch in watches[1:]:
            costs[watch.name].append(max(0.0, watch.spent - overhead * watch.calls) / len(day) / 1e3)
    return sorted((Cost.of(name, each) for name, each in costs.items()), key=lambda cost: -cost.microseconds)


def hours_of(day: Sequence[Event], count: int) -> list[list[Event]]:
    """The first busy hours of a day."""
    return [[event for event in day if event.time.hour == hour] for hour in BUSY[:count]]


def _over_hours(head: Mapping[str, Any], rows: Sequence[bytes], hours: Sequence[Sequence[Event]], copies: int) -> Cost:
    """What an event costs while so many copies of the company are remembered, a few of them at work in each hour.

    Each principal has an event before, which reads it out of its row and ends the day before.
    """
    scoring, _ = new_scoring()
    scoring.open(PARTITION, {**head, "principals": [row for copy in range(copies) for row in renamed(rows, copy)]})
    scoring.settle()
    before = hours[0][0].time.replace(minute=0, second=0) - timedelta(minutes=5)
    run(scoring, fresh(one_each(rows, copies, before)))
    costs = []
    for number, hour in enumerate(hours):
        at_work = [(number * AT_WORK + n) % copies for n in range(min(AT_WORK, copies))]
        costs.append(run(scoring, fresh(copied(event, copy) for event in hour for copy in at_work)))
    return Cost.of(f"{copies * len(rows):,} principals", costs)


def renamed(rows: Iterable[bytes], copy: int) -> Iterator[bytes]:
    """What is known of the principals, as of those of another company."""
    for packed in rows:
        row: list[Any] = msgspec.msgpack.decode(packed)
        row[0] = f"{row[0]}-{copy}" if copy else row[0]
        yield msgspec.msgpack.encode(row)


def one_each(rows: Sequence[bytes], copies: int, at: datetime) -> Iterator[Event]:
    """One event of each principal, of each company."""
    for copy in range(copies):
        for row in rows:
            name, kind, role = msgspec.msgpack.decode(row)[:3]
            event = Event(id=f"first-{name}", time=at, kind="access", actor=Actor(name, kind, role), action="read")
            yield copied(event, copy)


def table(costs: ScoringCosts) -> str:
    """As Markdown."""
    rows = [costs.days, *costs.by_detector, *costs.by_principals]
    lines = [
        "| scoring | µs an event | best to worst |",
        "| --- | ---: | ---: |",
        *(f"| {c.name} | {c.microseconds:.1f} | {c.best:.1f} to {c.worst:.1f} |" for c in rows),
    ]
    told = f"{costs.events:,} events; the longest took {costs.longest_pause:.1f} ms; growth {costs.growth:.2f} times."
    return "\n".join([*lines, "", told])
