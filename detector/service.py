"""The only wiring: from a configuration to running stages, and to a replay."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import msgspec
import structlog

from detector import VERSION, assembly, chains, deliveries
from detector.adjustments import Adjustments
from detector.alerts import Alert
from detector.api import FEEDBACK_PATH, FeedbackApi
from detector.checkpoints import CheckpointStore
from detector.config import Config
from detector.config_digests import ModelWatch
from detector.config_watch import FileWatch
from detector.correlate_stage import CorrelateStage
from detector.detectors import REGISTRY as DETECTORS
from detector.ending import Fuse
from detector.event_store import EventStore, EventStoreSink, Stored, opened
from detector.feedback import Feedback
from detector.formats import REGISTRY as FORMATS
from detector.kafka_settings import client_settings, reading
from detector.metrics import Metrics
from detector.monitoring import RELOAD_PATH, MonitoringServer, server_context
from detector.os_signals import Signals
from detector.outputs import Outputs
from detector.patience import PATIENT, Patience
from detector.peers_topic import PeersTopic
from detector.reloading import STATUS, Reloader, ReloadLoop
from detector.score_stage import ScoreStage
from detector.sinks.alertmanager import AlertmanagerSink
from detector.sinks.base import Batch, Sink
from detector.sinks.refusals import ToRejects
from detector.sinks.runner import SinkRunner, ignore_refused
from detector.sources.adjustments import AdjustmentsReader
from detector.sources.kafka import KafkaSource, PartitionListener
from detector.sources.overheard import Overheard
from detector.stages import Stage, StageShell
from detector.suppressions import expired
from detector.telling import Telling
from detector.ticks import Ticker

log = structlog.get_logger(__name__)

StageName = Literal["both", "score", "correlate"]

# Alerts and findings of the second stage that may wait while the first one's events fill a sink's queue.
CORRELATE_ROOM: Final = 10_000

# Who waits for what of peers could not be told by then goes on with what it knows.
PEERS_SECONDS: Final = 1.0

OVERDUE: Final = 1

# After the moment at which what hangs is named and left: whoever hangs may hold the locks that this takes.
FUSE_SECONDS: Final = 2.0


class Service:
    """The live detector: stages and sinks, each in a thread of its own, until a signal or a failure.

    Args:
        config: What to run with.
        stage: Which stages run in this process.
        patience: How long it waits for what.
        path: Where the configuration was read from, and is again at a reload; None if from the environment alone.
        watch: What looks whether the files have changed; None: nobody does.

    Raises:
        StoreError, ConfigError, CheckpointError: Something that the service needs can't be had as it is configured.
    """

    def __init__(
        self,
        config: Config,
        stage: StageName = "both",
        patience: Patience = PATIENT,
        path: Path | None = None,
        watch: FileWatch | None = None,
    ) -> None:
        self._config = config
        self._patience = patience
        self._names: list[str] = ["score", "correlate"] if stage == "both" else [stage]
        self._client = client_settings(config.kafka)
        self._reading = reading(config.kafka)
        self._stop = threading.Event()
        self._fuse = Fuse(patience.shutdown + FUSE_SECONDS)
        self._failure: BaseException | None = None
        self._adjustments = Adjustments()
        self._reader: AdjustmentsReader | None = None
        self._peers: PeersTopic | None = None
        url = config.store.url
        self._store = EventStore(lambda: opened(url, config)) if url is not None else None
        if self._store is not None:
            self._store.open(patience.store)
        sinks = deliveries.sinks(config, self._client, self._store)
        self.metrics = Metrics(
            version=VERSION,
            formats=FORMATS,
            detectors=[*DETECTORS, *chains.DERIVED],
            channels=[channel for detector in DETECTORS.values() for channel in detector.channels],
            sinks=[sink.name for sink in sinks],
        )
        self._runners: dict[str, SinkRunner] = {}
        for sink in sinks:
            self._runners[sink.name] = self._runner(sink)
        self._writers: list[ThreadPoolExecutor] = []
        self._stored = Stored(self._store, patience.store)
        self._stages = stages = [self._stage(name) for name in self._names]
        self._reloader = Reloader(config, path, self._stages, adjustments=self._adjustments, metrics=self.metrics)
        watches = () if watch is None else (watch, ModelWatch(lambda: self._reloader.config))
        self._reloads = ReloadLoop(self._reloader.reload, self._stop, watches, patience.look)
        self.metrics.set_reload(worked=True, now=time.time())
        self.metrics.checkpoint_age.set_function(lambda: max(time.monotonic() - s.checkpointed_at for s in stages))
        self.metrics.adjustments.set_function(lambda: len(self._adjustments))
        self.metrics.budget.set_function(lambda: self._reloader.config.budget.alerts_per_day)
        self.metrics.ready.set_function(lambda: self._ready()[0])
        self.metrics.healthy.set_function(lambda: self._healthy()[0])

    def run(self) -> None:
        """Work until SIGTERM or SIGINT; then flush, save, commit, leave the group, within a deadline.

        Raises:
            SourceError, CheckpointError: A stage could not go on. Nothing is lost.
            OSError: The metrics' address is taken.
        """
        taken = {signal.SIGTERM: self._end, signal.SIGINT: self._end, signal.SIGHUP: lambda _: self._reloads.ask()}
        with self._fuse, Signals(taken), self._monitoring() as monitoring:
            log.info("service_started", stages=self._names, metrics=monitoring.where, pid=os.getpid())
            for mute in expired(self._config.mutes, datetime.now(UTC)):
                log.warning("mute_expired", mute=mute.name, owner=mute.owner, expired=mute.expires.isoformat())
            for runner in self._runners.values():
                runner.start()
            self._read_adjustments()
            if self._peers is not None:
                self._peers.start()
            threads = [threading.Thread(target=self._guard, args=(s,), name=s.name) for s in self._stages]
            for thread in (*threads, self._reloads):
                thread.start()
            self._stop.wait()
            with self._deadline() as until:
                for thread in threads:
                    thread.join()
                self._close(min(until, time.monotonic() + self._patience.closing))
        if self._failure is not None:
            raise self._failure
        log.info("service_ended")

    def _read_adjustments(self) -> None:
        """Learn what verdicts said before, and follow what they will say."""
        if "score" in self._names:
            topic, put = self._config.kafka.topics.adjustments, self._adjustments.put
            reader = self._reader = AdjustmentsReader(self._client, topic, put, self._stop)
            reader.start()
            if not reader.wait(self._patience.verdicts):
                log.warning("adjustments_unknown", topic=topic, why=reader.trouble or "they take long to read")

    def _monitoring(self) -> MonitoringServer:
        where = self._config.metrics
        return MonitoringServer(
            self.metrics.registry,
            where.address,
            where.port,
            healthy=self._healthy,
            ready=self._ready,
            posts={RELOAD_PATH: self._reload, FEEDBACK_PATH: FeedbackApi(self._hand_over).post},
            only_with_token={FEEDBACK_PATH},
            tls=server_context(where.cert_file, where.key_file) if where.cert_file and where.key_file else None,
            token=where.token.reveal() if where.token is not None else None,
        )

    def _reload(self, _: bytes) -> tuple[int, Sequence[str]]:
        reloaded = self._reloader.reload("request")
        return STATUS[reloaded.outcome], reloaded.lines

    def _hand_over(self, said: Feedback) -> bool:
        runner = self._runners["kafka"]
        return runner.put(Batch(signals=[said])) and runner.flush(self._patience.verdicts)

    def _guard(self, stage: Stage) -> None:
        """A stage that fails ends the service: half a detector is worse than one that is restarted."""
        try:
            stage.run()
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            log.error("stage_failed", stage=stage.name, why=f"{type(error).__name__}: {error}")  # noqa: TRY400
            self._failure = error
        finally:
            self._halt()

    def _halt(self) -> None:
        self._fuse.light()
        self._stop.set()

    def _end(self, number: int) -> None:
        self._halt()
        log.info("stopping", signal=signal.Signals(number).name)

    @contextmanager
    def _deadline(self) -> Iterator[float]:
        """Gives the moment (monotonic) until which to end what is in the block; past it the process ends anyway."""
        end = threading.Timer(self._patience.shutdown, self._abandon)
        end.daemon = True
        end.start()
        yield time.monotonic() + 0.9 * self._patience.shutdown
        end.cancel()

    def _abandon(self) -> None:
        """End the process with what hangs in it. What is not saved is read again: nothing is lost."""
        threads = sorted(thread.name for thread in threading.enumerate() if not thread.daemon)
        pending = {name: runner.pending for name, runner in self._runners.items() if runner.pending}
        log.error("shutdown_overdue", seconds=self._patience.shutdown, threads=threads, pending=pending)
        os._exit(OVERDUE)

    def _close(self, until: float) -> None:
        # Last the topics: what the store refuses goes there. Each has its share of the time that is left.
        for left, (name, runner) in zip(range(len(self._runners), 0, -1), reversed(self._runners.items()), strict=True):
            if not runner.close(max(0.0, until - time.monotonic()) / left):
                log.warning("sink_closed_with_items_pending", sink=name, why=runner.last_error)
        if self._peers is not None:
            self._peers.close(PEERS_SECONDS)
        for writer in self._writers:
            writer.shutdown()
        if self._store is not None:
            self._store.close()

    def _healthy(self) -> tuple[bool, Sequence[str]]:
        """Alive: every stage has come round its loop lately."""
        stuck = [s.name for s in self._stages if time.monotonic() - s.turned_at > self._patience.stuck]
        return not stuck, [f"{name} is stuck" for name in stuck]

    def _ready(self) -> tuple[bool, Sequence[str]]:
        """At work: partitions are assigned and restored, and the sinks answer."""
        reasons = [why for s in self._stages if (why := s.shell.checkpoints.trouble() or s.trouble())]
        if self._store is not None and self._store.trouble:
            reasons.append(f"clickhouse: {self._store.trouble}")
        if self._reader is not None and self._reader.trouble:
            reasons.append(f"{self._config.kafka.topics.adjustments}: {self._reader.trouble}")
        if self._peers is not None and self._peers.trouble:
            reasons.append(f"{self._config.kafka.topics.peers}: {self._peers.trouble}")
        reasons += [f"{name}: {r.last_error}" for name, r in self._runners.items() if r.last_error]
        return not reasons, reasons

    def _runner(self, sink: Sink) -> SinkRunner:
        on_refused = ToRejects(sink, self._runners["kafka"]) if isinstance(sink, EventStoreSink) else ignore_refused
        limits, meter = self._patience.limits, self.metrics.sink(sink.name)
        return SinkRunner(sink, limits, meter=meter, on_refused=on_refused)

    def _stage(self, name: str) -> Stage:
        config = self._config
        topics = [source.topic for source in config.read] if name == "score" else [config.kafka.topics.findings]
        group = config.kafka.group_id if name == "score" else f"{config.kafka.group_id}-correlate"
        writer = ThreadPoolExecutor(1, f"{name}-checkpoints")
        self._writers.append(writer)
        shell = StageShell(
            connect=self._connector(topics, group),
            outputs=Outputs(
                [r for r in self._runners.values() if r.sink.accepts], CORRELATE_ROOM if name == "correlate" else 0
            ),
            checkpoints=CheckpointStore(
                config.state.url, name, on_damage=self.metrics.checkpoint_damage.inc, patience=self._patience.state
            ),
            metrics=self.metrics,
            stop=self._stop,
            every=config.state.every,
            grace=self._patience.grace,
            background=writer,
        )
        if name == "correlate":
            told = (self._repeat_open, self._forget_open)
            return CorrelateStage(shell, lambda: assembly.correlator(config), *told, self._patience.order)
        overheard = Overheard(self._client, config.kafka.topics.findings, self._stop)
        telling = Telling(Ticker(assembly.attention(config)), overheard)
        peers = self._peers = PeersTopic.of(config, self._client, self._stop, self.metrics)
        scoring = assembly.scoring(config, adjustments=self._adjustments, exchange=peers.exchange)
        return ScoreStage(shell, scoring, assembly.decoder_by_topic(config), telling, self._stored, peers)

    def _connector(self, topics: Sequence[str], group: str) -> Callable[[PartitionListener], KafkaSource]:
        instance = self._config.kafka.instance_id
        settings = msgspec.structs.replace(self._patience.consumer, group_instance_id=instance)
        return lambda listener: KafkaSource(self._reading, topics, group, listener, time.time, settings=settings)

    def _repeat_open(self, alerts: Sequence[Alert]) -> None:
        """After a restart Alertmanager is told again what is open."""
        runner = self._runners.get("alertmanager")
        if runner is not None and alerts:
            runner.put(Batch(alerts=list(alerts)))

    def _forget_open(self) -> None:
        """Another process owns the incidents now: Alertmanager is told no more by this one that they are open."""
        runner = self._runners.get("alertmanager")
        if runner is not None and isinstance(runner.sink, AlertmanagerSink):
            runner.sink.forget()
