"""The only wiring: from a configuration to running stages, and to a replay."""

import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec
import structlog

from detector import VERSION, assembly, chains
from detector.alerts import Alert
from detector.checkpoints import CheckpointStore
from detector.config import Config
from detector.correlate_stage import CorrelateStage
from detector.detectors import REGISTRY as DETECTORS
from detector.formats import REGISTRY as FORMATS
from detector.kafka_settings import client_settings
from detector.metrics import Metrics
from detector.monitoring import MonitoringServer
from detector.outputs import Outputs
from detector.renderings import RENDERINGS
from detector.score_stage import ScoreStage
from detector.sinks.alertmanager import AlertmanagerSink
from detector.sinks.base import Batch, Sink
from detector.sinks.clickhouse import ClickHouseSink
from detector.sinks.kafka import KafkaSink
from detector.sinks.runner import SinkRunner
from detector.sinks.webhook import WebhookSink
from detector.sources.kafka import ConsumerSettings, KafkaSource, PartitionListener
from detector.stages import Stage, StageShell
from detector.store.client import Store, connect
from detector.store.migrate import migrate
from detector.store.queries import stored_positions
from detector.suppressions import expired
from detector.ticks import Ticker

log = structlog.get_logger(__name__)

StageName = Literal["both", "score", "correlate"]

CLOSE_SECONDS: Final = 20.0
STUCK_SECONDS: Final = 120.0


def open_store(config: Config) -> Store | None:
    """The event store, its schema up to date; None when none is configured.

    Raises:
        StoreError: It can't be reached or brought up to date.
        ConfigError: Its secret is missing.
    """
    if config.store.url is None:
        return None
    password = config.store.password.reveal() if config.store.password is not None else None
    store = connect(config.store.url, password=password)
    for migration in migrate(store):
        log.info("store_migrated", version=migration.version, name=migration.name)
    return store


class Service:
    """The live detector: stages and sinks, each in a thread of its own, until a signal or a failure.

    Args:
        config: What to run with.
        stage: Which stages run in this process.

    Raises:
        StoreError, ConfigError, CheckpointError: Something that the service needs is not there.
    """

    def __init__(self, config: Config, stage: StageName = "both") -> None:
        self._config = config
        self._names: list[str] = ["score", "correlate"] if stage == "both" else [stage]
        self._client = client_settings(config.kafka)
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._store = open_store(config)
        sinks = self._sinks()
        self.metrics = Metrics(
            version=VERSION,
            formats=FORMATS,
            detectors=[*DETECTORS, *chains.DERIVED],
            sinks=[sink.name for sink in sinks],
        )
        self._runners = {sink.name: SinkRunner(sink, meter=self.metrics.sink(sink.name)) for sink in sinks}
        self._stages = [self._stage(name) for name in self._names]
        self.metrics.set_reload(worked=True, now=time.time())
        self.metrics.checkpoint_age.set_function(self._checkpoint_age)

    def run(self) -> None:
        """Work until SIGTERM or SIGINT; then flush, save, commit, leave the group.

        Raises:
            SourceError, CheckpointError: A stage could not go on. Nothing is lost.
            OSError: The metrics' address is taken.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        where = self._config.metrics
        with MonitoringServer(
            self.metrics.registry, where.address, where.port, healthy=self._healthy, ready=self._ready
        ) as monitoring:
            log.info("service_started", stages=self._names, metrics=f"{monitoring.address}:{monitoring.port}")
            for mute in expired(self._config.mutes, datetime.now(UTC)):
                log.warning("mute_expired", mute=mute.name, owner=mute.owner, expired=mute.expires.isoformat())
            for runner in self._runners.values():
                runner.start()
            threads = [threading.Thread(target=self._guard, args=(s,), name=s.name) for s in self._stages]
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                self._stop.wait(0.5)
                threads[0].join(0.1)
            self._close()
        if self._failure is not None:
            raise self._failure
        log.info("service_ended")

    def _guard(self, stage: Stage) -> None:
        """A stage that fails ends the service: half a detector is worse than one that is restarted."""
        try:
            stage.run()
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            log.error("stage_failed", stage=stage.name, why=f"{type(error).__name__}: {error}")  # noqa: TRY400
            self._failure = error
        finally:
            self._stop.set()

    def _on_signal(self, number: int, _: object) -> None:
        log.info("stopping", signal=signal.Signals(number).name)
        self._stop.set()

    def _close(self) -> None:
        for name, runner in self._runners.items():
            if not runner.close(CLOSE_SECONDS):
                log.warning("sink_closed_with_items_pending", sink=name, why=runner.last_error)
        if self._store is not None:
            self._store.close()

    def _checkpoint_age(self) -> float:
        return max(time.monotonic() - stage.checkpointed_at for stage in self._stages)

    def _healthy(self) -> tuple[bool, Sequence[str]]:
        """Alive: every stage has come round its loop lately."""
        stuck = [s.name for s in self._stages if time.monotonic() - s.turned_at > STUCK_SECONDS]
        return not stuck, [f"{name} is stuck" for name in stuck]

    def _ready(self) -> tuple[bool, Sequence[str]]:
        """At work: partitions are assigned and restored, and the sinks answer."""
        reasons = [why for stage in self._stages if (why := stage.trouble())]
        reasons += [f"{name}: {r.last_error}" for name, r in self._runners.items() if r.last_error]
        return not reasons, reasons

    def _sinks(self) -> list[Sink]:
        config, topics = self._config, self._config.kafka.topics
        sinks: list[Sink] = [
            KafkaSink(
                self._client,
                signals_topic=topics.findings,
                alerts_topic=topics.alerts,
                rejects_topic=topics.rejects,
                encode_alert=RENDERINGS[config.kafka.alert_format],
            )
        ]
        if self._store is not None:
            sinks.append(ClickHouseSink(self._store.client, database=self._store.database))
        if config.alertmanager is not None:
            sinks.append(AlertmanagerSink(config.alertmanager.url, heartbeat=config.alertmanager.heartbeat))
        if config.webhook is not None:
            secret, encode = config.webhook.secret.reveal().encode(), RENDERINGS[config.webhook.format]
            sinks.append(WebhookSink(config.webhook.url, secret, encode=encode))
        return sinks

    def _stage(self, name: str) -> Stage:
        config = self._config
        topics = [source.topic for source in config.read] if name == "score" else [config.kafka.topics.findings]
        group = config.kafka.group_id if name == "score" else f"{config.kafka.group_id}-correlate"
        shell = StageShell(
            connect=self._connector(topics, group),
            outputs=Outputs(list(self._runners.values())),
            checkpoints=CheckpointStore(config.state.url, name, on_damage=self.metrics.checkpoint_damage.inc),
            metrics=self.metrics,
            stop=self._stop,
            every=config.state.every,
            background=ThreadPoolExecutor(1, f"{name}-checkpoints"),
        )
        if name == "correlate":
            return CorrelateStage(shell, lambda: assembly.correlator(config), self._repeat_open)
        ticker = Ticker(assembly.attention(config))
        return ScoreStage(shell, assembly.scoring(config), assembly.decoder_by_topic(config), ticker, self._stored)

    def _connector(self, topics: Sequence[str], group: str) -> Callable[[PartitionListener], KafkaSource]:
        instance = self._config.kafka.instance_id
        settings = ConsumerSettings(group_instance_id=instance)
        return lambda listener: KafkaSource(self._client, topics, group, listener, time.time, settings=settings)

    def _stored(self, topic: str, partition: int, offset: int) -> Mapping[tuple[int, int], str]:
        """What the store has from an offset on; nothing is known of one that does not answer."""
        if self._store is None:
            return {}
        try:
            return stored_positions(self._store.client, topic, partition, offset)
        except Exception as error:  # noqa: BLE001 - writing twice is harmless, the store's views show no double
            log.warning("stored_positions_unknown", why=str(error))
            return {}

    def _repeat_open(self, alerts: Sequence[Alert]) -> None:
        """After a restart Alertmanager is told again what is open."""
        runner = self._runners.get("alertmanager")
        if runner is not None and alerts:
            runner.put(Batch(alerts=list(alerts)))


def effective(config: Config) -> dict[str, Any]:
    """The configuration as plain data, to be shown; secrets appear only by where they are kept."""
    plain: dict[str, Any] = msgspec.json.decode(config.model_dump_json())
    return plain
