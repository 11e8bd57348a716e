"""How long the live service waits for what."""

from typing import Final

import msgspec

from detector.ordering import WAIT
from detector.reloading import LOOK_SECONDS
from detector.sinks.runner import DEFAULT_LIMITS, Limits
from detector.sources.kafka import ConsumerSettings


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long the service waits for what, in seconds; tests are less patient.

    `consumer` and `limits` are those of the consumers and of the sinks' queues. `shutdown` is the time from a
    signal to the end of the process, whatever hangs: less than the 30 s that Kubernetes gives it. `grace` is the
    part of it in which partitions that are given up wait for the sinks, `closing` that which the sinks have after the
    stages: what they don't write then, the next process makes again. A loop that has not come round for `stuck` is
    told to `/healthz`; a restore takes part of that, and `state` is what each file of it may take. The event store may
    take `store` to open before the service begins without it, or to tell what it holds; what `verdicts` on alerts
    changed may take as long to read as it says. The configuration's files are looked at every `look`. Findings
    wait for workers that are silent, or late, for `order`.
    """

    consumer: ConsumerSettings = ConsumerSettings()
    limits: Limits = DEFAULT_LIMITS
    shutdown: float = 25.0
    grace: float = 10.0
    closing: float = 3.0
    stuck: float = 120.0
    state: float = 60.0
    store: float = 10.0
    verdicts: float = 10.0
    look: float = LOOK_SECONDS
    order: float = WAIT


PATIENT: Final = Patience()
