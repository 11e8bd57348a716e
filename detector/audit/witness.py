"""What each detector saw of one event: its scores against their limits, told from among the detectors themselves.

Two detectors that find nothing stand around the real ones. The one before them puts a noting hand between them and the
limits; the one behind them reads what was tested.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

import msgspec

from detector.budget import Limit, Thresholds
from detector.charter import NOTHING
from detector.detectors.base import Context, Detector, DetectorSettings, Example
from detector.events import KINDS, OUTSIDE, Event
from detector.findings import Finding
from detector.in_force import Overrides
from detector.overrides import Override
from detector.principals import UNTOUCHED
from models.base import log10_surprise


class Judged(msgspec.Struct, frozen=True):
    """One detector's look at the event.

    `asked` says whether it had anything to do with it, and why not. `score` is -log10 of a p-value and `limit` what it
    had to pass; None for a fixed rule, or where there was nothing to score. `tests_per_day` is what the limit was
    drawn from; None while it is the starting one.
    """

    detector: str
    asked: str
    channel: str = ""
    score: float | None = None
    limit: float | None = None
    tests_per_day: float | None = None
    beyond: bool = False


class Seen(msgspec.Struct):
    """What the witness took down of one event."""

    judged: list[Judged] = []
    facts: dict[str, Any] = {}


class Witness:
    """Takes down what the detectors make of an event, when it is told to look.

    Args:
        detectors: The real ones, as scoring has them.
        overrides: What holds for some principals or hours instead, as scoring has them.
    """

    def __init__(self, detectors: Sequence[Detector[Any]], overrides: Sequence[Override] = ()) -> None:
        self.detectors = detectors
        self._overrides = Overrides(overrides, detectors)
        self.looking = False
        self.limits: dict[str, Limit] = {}
        self.noted: list[tuple[str, float]] = []
        self.seen = Seen()
        self.before = _Before(self)
        self.behind = _Behind(self)

    def take_down(self, event: Event, context: Context) -> None:
        """Called behind the last detector, before anything is learnt of the event."""
        in_force = self._overrides.at(context.principal.id, context.principal.role, context.now)
        running = None if in_force is None else dict(in_force.by_kind[event.kind])
        self.seen = Seen(
            [judged for detector in self.detectors for judged in self._judged(detector, event, context, running)],
            {
                "known since": context.principal.first_seen,
                "events before": context.principal.events,
                "role": context.principal.role,
                "charter": "none" if context.charter == NOTHING else "yes",
                "approval": context.answer.replace("_", " "),
                "under a stop": context.principal.pinned,
            },
        )

    def _judged(
        self, detector: Detector[Any], event: Event, context: Context, running: Mapping[str, Detector[Any]] | None
    ) -> Iterable[Judged]:
        if event.kind not in detector.kinds:
            yield Judged(detector.name, "no: not its kind of act")
            return
        if running is not None:
            if detector.name not in running:
                yield Judged(detector.name, "no: switched off by an override")
                return
            detector = running[detector.name]
        state = context.principal.states.get(detector.name)
        if state is UNTOUCHED or (state is not None and not detector.concerns(event, state, context)):
            yield Judged(detector.name, "no: nothing for it to look at")
            return
        tests = list(self._tests(detector, context))
        for channel, score, beyond in tests:
            limit = context.limits.get(channel) or self.limits.get(channel)
            mark, drawn_from = (limit.score, limit.tests_per_day) if limit is not None else (None, None)
            yield Judged(detector.name, "yes", channel, score, mark, drawn_from, beyond)
        if detector.name == _ENDPOINTS and context.novelty < 1.0:
            yield self._endpoint(detector, event, context)
        elif not tests:
            yield Judged(detector.name, "yes", "nothing to score" if detector.channels else "fixed rules")

    def _tests(self, detector: Detector[Any], context: Context) -> Iterable[tuple[str, float, bool]]:
        """The scores as they are: those that count as tests are cut, and left out under a limit of the operator's."""
        noted = [(channel, score) for channel, score in self.noted if channel in detector.channels]
        for channel, score in noted:
            limit = context.limits.get(channel) or self.limits[channel]
            yield channel, score, score > limit.score
        heard = {channel for channel, _ in noted}
        yield from (test for test in context.tests if test[0] in detector.channels and test[0] not in heard)

    @staticmethod
    def _endpoint(detector: Detector[Any], event: Event, context: Context) -> Judged:
        zone = event.destination.zone if event.destination is not None else "unknown"
        settings = detector.settings
        p = settings.public_p if zone == "public" else settings.external_p if zone in OUTSIDE else settings.inside_p
        score, limit = log10_surprise(context.novelty), log10_surprise(p)
        return Judged(detector.name, "yes", "novelty of the endpoint", score, limit, None, score > limit)


_ENDPOINTS: Final = "new_endpoint"


class _Noting(Thresholds):
    """Notes the limits that it is asked for."""

    def __init__(self, real: Thresholds, noted: dict[str, Limit]) -> None:
        self._real = real
        self._noted = noted

    def limit(self, role: str, channel: str, starting_p: float) -> Limit:
        limit = self._noted[channel] = self._real.limit(role, channel, starting_p)
        return limit


class _Silent(Detector[None]):
    """A detector that finds nothing and remembers nothing."""

    rules: ClassVar[Mapping[str, str]] = {}
    runbook = ""
    tags = ()
    kinds = frozenset(KINDS)

    def __init__(self, witness: Witness) -> None:
        super().__init__(DetectorSettings())
        self.witness = witness

    def new_state(self) -> None:
        """None: it remembers nothing."""

    def learn(self, event: Event, state: None, context: Context, found: Sequence[Finding]) -> None:
        """Nothing."""

    def dump(self, state: None) -> Any:
        """None."""

    def load(self, data: Any) -> None:
        """None."""

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """None: it is in no registry."""
        return ()


class _Before(_Silent):
    name = "witness_before"

    def detect(self, event: Event, state: None, context: Context) -> Iterable[Finding]:  # noqa: ARG002
        if self.witness.looking:
            self.witness.limits = {}
            context.noted = self.witness.noted = []
            context.thresholds = _Noting(context.thresholds, self.witness.limits)
        return ()


class _Behind(_Silent):
    name = "witness_behind"

    def detect(self, event: Event, state: None, context: Context) -> Iterable[Finding]:  # noqa: ARG002
        if self.witness.looking:
            self.witness.take_down(event, context)
        return ()
