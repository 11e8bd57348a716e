"""The demo: every sample scenario through the real pipeline into the event store."""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from detector import assembly
from detector.alerts import Alert
from detector.config import Config
from detector.replay import Replay
from detector.scenario import Scenario
from detector.severity import rank
from detector.sinks.base import Sink
from detector.sources.base import Record

NEXT: Final = (
    "detector replay sample_logs/moderation_exfil/events.ndjson.gz     one scenario, with its whole story",
    "detector replay FILE --findings - --quiet                         findings of your own file as NDJSON",
    "make kafka                                                        a real Kafka broker in the foreground",
    "detector topics && detector run                                   the service against that broker",
    "detector produce sample_logs/moderation_exfil/events.ndjson.gz    a scenario as a live stream",
    "make test                                                         everything, on real components",
)


class Outcome(msgspec.Struct, frozen=True):
    """How a scenario went: the alert that caught it (the gravest of its incident), false alarms, events read."""

    scenario: Scenario
    alert: Alert | None
    false_alarms: list[Alert]
    events: int


def play(
    scenario: Scenario, records: Iterable[Record], sinks: list[Sink], config: Config, progress: Callable[[], None]
) -> Outcome:
    """Replay one scenario through both stages into the sinks."""
    replay = Replay(assembly.pipeline(config), assembly.decoder(config, "native"), sinks)
    replay.run(records, progress)
    alerts = list(replay.result.alerts.values())
    expected = scenario.expected
    caught = [alert for alert in alerts if expected.is_of_incident(alert)]
    gravest = min(caught, key=lambda alert: (rank(alert.severity), alert.detected_at), default=None)
    return Outcome(scenario, gravest, expected.false_alarms(alerts), replay.result.events)
