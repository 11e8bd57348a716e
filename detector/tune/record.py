"""History played once, with every score taken down that a threshold could be drawn at."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final, NamedTuple

import msgspec

from detector import assembly
from detector.audit.answer import EVER, Span
from detector.backtest.known import Known
from detector.backtest.play import Played, Player
from detector.config import Config
from detector.detectors import REGISTRY
from detector.detectors.base import Context, Detector, DetectorSettings, Example
from detector.events import KINDS, Envelope, Event
from detector.findings import Finding
from detector.pipeline import Pipeline, Step

FLOOR: Final = 1.0
"""Score (-log10 of a p-value) from which on tests are taken down."""

# Those whose findings make alerts: notes alone never do.
TUNED: Final = tuple(name for name, each in REGISTRY.items() if each.channels and name != "forest_challenger")
OF_CHANNEL: Final = {channel: name for name in TUNED for channel in REGISTRY[name].channels}


class Score(NamedTuple):
    """One score: when (unix seconds), whose, in which role and session, and by which detector."""

    time: float
    principal: str
    role: str
    session: str | None
    detector: str
    score: float


class Recording(msgspec.Struct):
    """What came of history, and all scores from `FLOOR` on in the span that counts, in order."""

    played: Played
    scores: list[Score]


class Recorder(Player):
    """Plays history, and takes down the scores; the arguments are those of `Player`."""

    def __init__(
        self,
        config: Config,
        since: datetime | None = None,
        known: Iterable[Known] = (),
        format_name: str | None = None,
        span: Span = EVER,
    ) -> None:
        self._noted: list[tuple[str, float]] = []
        self._scores: list[Score] = []
        super().__init__(config, since, known, format_name, span, self._take_down)

    def pipeline(self, config: Config) -> Pipeline:
        """The two stages, with a listener before the detectors."""
        scoring = assembly.scoring(config, before=[_Listener(self._noted)])
        return Pipeline(scoring, assembly.correlator(config), assembly.attention(config))

    def _take_down(self, envelope: Envelope, step: Step) -> None:
        if step.verdict != "scored":
            return
        event = envelope.event
        highest: dict[str, float] = {}
        for channel, score in self._noted:
            name = OF_CHANNEL.get(channel)
            if name is not None and score >= max(FLOOR, highest.get(name, 0.0)):
                highest[name] = score
        for name, score in highest.items():
            at = event.time.timestamp()
            self._scores.append(Score(at, event.principal, event.actor.role, event.actor.session, name, score))

    def result(self) -> Any:
        """What came of it, with the scores."""
        return Recording(super().result(), self._scores)


class _Listener(Detector[None]):
    """Stands before all detectors and has the scores of an event taken down; finds nothing itself."""

    name = "recorder"
    rules: ClassVar[Mapping[str, str]] = {}
    runbook = ""
    tags = ()
    kinds = frozenset(KINDS)

    def __init__(self, noted: list[tuple[str, float]]) -> None:
        super().__init__(DetectorSettings())
        self._noted = noted

    def new_state(self) -> None:
        """None."""

    def detect(self, event: Event, state: None, context: Context) -> Iterable[Finding]:  # noqa: ARG002
        """Nothing, ever."""
        self._noted.clear()
        context.noted = self._noted
        return ()

    def learn(self, event: Event, state: None, context: Context, found: Sequence[Finding]) -> None:
        """Nothing is learnt."""

    def dump(self, state: None) -> None:
        """Nothing is kept."""

    def load(self, data: Any) -> None:
        """Nothing was kept."""

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """None: it is in no registry."""
        return ()
