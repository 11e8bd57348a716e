"""Reload: another configuration comes into force between two batches, or all stays as it is and it is said why."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import msgspec
import structlog
from pydantic import BaseModel

from detector import assembly
from detector.adjustments import Adjustments
from detector.config import Config
from detector.config_base import ConfigError, Secret
from detector.config_changes import differences, refusals
from detector.config_file import read
from detector.config_paths import dotted
from detector.config_versions import config_version, short_hash
from detector.correlate_stage import CorrelateStage
from detector.findings import stable_id
from detector.metrics import Metrics
from detector.model_file import ModelError
from detector.records import OperatorAction
from detector.score_stage import ScoreStage
from detector.sinks.base import Batch
from detector.stages import Stage
from detector.switching import Step, Switch
from detector.wording import plural

log = structlog.get_logger(__name__)

Trigger = Literal["signal", "file", "request"]

# For so long a stage may be at its batch before it is left to take the new configuration up in its own time.
PATIENCE_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 2.0

_WAITS: Final = "not in force yet: {} is at a batch, and changes over after it; ask again to hear how it ended"


Outcome = Literal["changed", "unchanged", "pending", "failed"]

STATUS: Final[Mapping[Outcome, int]] = {"changed": 200, "unchanged": 200, "pending": 202, "failed": 500}
"""What HTTP says of each."""


class Reloaded(msgspec.Struct, frozen=True):
    """What became of a reload, and what to tell of it, line by line; a pending one is not in force yet."""

    outcome: Outcome
    lines: list[str]

    @property
    def worked(self) -> bool:
        """Whether the service runs by what stands in its files now."""
        return self.outcome in {"changed", "unchanged"}


class Reloader:
    """Reads the configuration again, and puts it into force if nothing is wrong with it. One reload at a time.

    Args:
        config: What is in force.
        path: Where it was read from; None if it came from the environment alone.
        stages: The stages that run by it.
        adjustments: What verdicts on alerts say.
        metrics: Are told of each try.
        clock: Unix seconds.
        patience: Seconds to wait for the stages; past them the answer is "pending", and they change over when they can.
    """

    def __init__(
        self,
        config: Config,
        path: Path | None,
        stages: Sequence[Stage],
        *,
        adjustments: Adjustments,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self.config = config
        self._path = path
        self._stages = stages
        self._adjustments = adjustments
        self._metrics = metrics
        self._clock = clock
        self._patience = patience
        self._alone = threading.Lock()
        self._switch: Switch | None = None
        self._ended: Reloaded | None = None

    def reload(self, by: Trigger) -> Reloaded:
        """Read, check, prepare; then switch, each stage between two batches. Never raises.

        Args:
            by: What asked for it.
        """
        with self._alone:
            if self._switch is not None and not self._switch.over.wait(self._patience):
                return Reloaded("pending", [f"{_WAITS.format(self._switch.waits_for)} of the reload before this one"])
            try:
                done = self._reload(by)
            except (ConfigError, ModelError, OSError) as error:
                done = Reloaded("failed", str(error).splitlines())
            except Exception as error:
                log.exception("config_reload_broke")
                done = Reloaded("failed", [f"{type(error).__name__}: {error}"])
            if isinstance(done, Reloaded):
                return self._count(done, by)
            if not done.over.wait(self._patience):
                log.warning("config_reload_pending", by=by, waits_for=done.waits_for)
                self._metrics.config_reloads.labels("pending").inc()
                return Reloaded("pending", [_WAITS.format(done.waits_for)])
            assert self._ended is not None  # noqa: S101 - it is over
            return self._ended

    def _count(self, done: Reloaded, by: Trigger) -> Reloaded:
        if not done.worked:
            log.error("config_reload_failed", by=by, why=done.lines, in_force=short_hash(self.config))
        self._metrics.count_reload(done.outcome, self._clock())
        return done

    def _reload(self, by: Trigger) -> "Reloaded | Switch":
        loaded = read(self._path, os.environ)
        changed = differences(self.config, loaded.config)
        if refused := refusals(changed, loaded):
            return Reloaded("failed", refused)
        held = loaded.config.files
        warnings = [f"warning: {why}; a restart would miss it" for why in _unreadable(loaded.config)]
        if warnings:
            log.warning("config_secrets_unreadable", why=warnings)
        if not changed:
            log.info("config_unchanged", by=by, config=short_hash(loaded.config))
            return Reloaded("unchanged", [f"nothing has changed: {short_hash(self.config)} is in force", *warnings])

        def ended(failure: Exception | None) -> None:
            if failure is not None:
                done = Reloaded("failed", [f"{type(failure).__name__}: {failure}"])
            else:
                names = [dotted(path) for path in changed]
                self._tell(loaded.config, names, by)
                said = f"{short_hash(loaded.config)} is in force; {plural(len(names), 'setting')} changed"
                files = [f"{name} is the file of SHA-256 {held[name]}" for name in names if name in held]
                done = Reloaded("changed", [f"{said}: {', '.join(names)}", *files, *warnings])
            self._ended = self._count(done, by)

        self._switch = Switch(self._steps(loaded.config), ended)
        self._switch.begin()
        return self._switch

    def _steps(self, config: Config) -> list[Step]:
        """What each stage does; what can fail is done here. Correlation goes first, whose incidents are read anew."""
        steps = []
        for stage in sorted(self._stages, key=lambda stage: stage.name != CorrelateStage.name):
            # Only who goes first may have to go back.
            back = self._prepared(stage, self.config) if isinstance(stage, CorrelateStage) else _stay
            steps.append(Step(stage, self._prepared(stage, config), back))
        return steps

    def _prepared(self, stage: Stage, config: Config) -> Callable[[], None]:
        if isinstance(stage, ScoreStage):
            scoring = assembly.scoring(config, adjustments=self._adjustments)
            decoder, attention = assembly.decoder_by_topic(config), assembly.attention(config)
            return lambda: stage.go_on_with(scoring, decoder, attention)
        assert isinstance(stage, CorrelateStage)  # noqa: S101 - there are two
        assembly.correlator(config)  # it fails here or never
        return lambda: stage.go_on_with(lambda: assembly.correlator(config))

    def _tell(self, config: Config, changed: list[str], by: Trigger) -> None:
        before, self.config, now = short_hash(self.config), config, datetime.fromtimestamp(self._clock(), UTC)
        version = config_version(config, now, "reload")
        action = OperatorAction(
            id=stable_id("c", version.hash, now.isoformat()),
            time=now,
            operator="",
            action="reload",
            subject=f"config:{short_hash(config)}",
            reason="",
            details={"by": by, "before": before, "changed": changed},
            config=short_hash(config),
        )
        log.info("config_reloaded", by=by, config=action.config, before=before, changed=changed)
        # By a stage's own way out, where it waits with what the stage finds if the store is away.
        outputs = self._stages[0].shell.outputs
        self._stages[0].between_batches(lambda: outputs.put(Batch(versions=[version], actions=[action])))


def _stay() -> None:
    """Nothing is to be taken back."""


def _unreadable(section: Any) -> Iterator[str]:
    """Why secrets can't be read. None of them is needed for what a reload changes, so none is in its way."""
    if isinstance(section, Secret):
        try:
            section.reveal()
        except ConfigError as error:
            yield str(error)
    elif isinstance(section, BaseModel):
        for name in type(section).model_fields:
            yield from _unreadable(getattr(section, name))


class Watch(Protocol):
    """Looks at files from time to time."""

    def changed(self) -> bool:
        """Whether there is something new; said once."""


class ReloadLoop(threading.Thread):
    """Reloads when it is told to, and when the files have changed.

    Args:
        reload: Does it.
        stop: Ends the loop.
        watches: What looks at the files.
        every: Seconds between two looks.
    """

    def __init__(
        self,
        reload: Callable[[Trigger], Reloaded],
        stop: threading.Event,
        watches: Sequence[Watch] = (),
        every: float = LOOK_SECONDS,
    ) -> None:
        super().__init__(name="reload", daemon=True)
        self._reload = reload
        self._stop_wanted = stop
        self._watches = watches
        self._every = every
        self._asked = threading.Event()

    def ask(self) -> None:
        """Reload soon; to be called by a signal's handler."""
        self._asked.set()

    def run(self) -> None:
        """Wait and reload until the end."""
        pending = False
        while not self._stop_wanted.is_set():
            if self._asked.wait(self._every):
                self._asked.clear()
                by: Trigger = "signal"
            elif self._changed() or pending:
                by = "file"
            else:
                continue
            # What is asked for while a reload is under way is asked for again until it is heard.
            pending = self._reload(by).outcome == "pending"

    def _changed(self) -> bool:
        looks = [watch.changed() for watch in self._watches]  # each of them, as they look from time to time
        return any(looks)
