"""What is measured, in order: each section once, the smaller form of it with `--quick`."""

import subprocess
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any, Final, NamedTuple, Self

import msgspec

from deploy.kafka.install import MissingTool
from tests.bench import (
    alone,
    audit,
    bare,
    compared,
    decoding,
    growth,
    history,
    latency,
    live,
    partitions,
    pipeline,
    scoring,
    workers,
)


class Skipped(msgspec.Struct, frozen=True):
    """A section that was not measured, and why: something is not installed here, or it `failed`."""

    skipped: str
    failed: bool = False


_FAILURES: Final = (RuntimeError, AssertionError, OSError, subprocess.SubprocessError)
_SAID: Final = 2_000


class Run:
    """One run of the benchmark. As a context manager it ends the broker, if a section asked for one.

    Args:
        quick: Small, to see that it works.
        repetitions: Of what takes least, decoding; the others have their own.
        million: Whether so many events are tried on, instead of a tenth.
    """

    def __init__(self, *, quick: bool, repetitions: int, million: bool = False) -> None:
        self.quick, self.repetitions, self.million = quick, repetitions, million
        self.found: dict[str, Any] = {}
        self.size = live.QUICK if quick else live.FULL
        self._stack = ExitStack()
        self._ground: live.Ground | None = None

    @property
    def ground(self) -> live.Ground:
        """A broker with the mix on it, the same for all sections."""
        if self._ground is None:
            self._ground = self._stack.enter_context(live.ground(self.size))
        return self._ground

    def measure(self, name: str) -> Any:
        """The numbers of a section, measured if they were not yet."""
        if name not in self.found:
            try:
                self.found[name] = SECTIONS[name].measure(self)
            except MissingTool as missing:
                self.found[name] = Skipped(str(missing))
            except _FAILURES as error:  # a quarter of an hour's other numbers are worth keeping
                self.found[name] = Skipped(f"{type(error).__name__}: {error}"[-_SAID:], failed=True)
        return self.found[name]

    def table(self, name: str) -> str:
        """The section as Markdown."""
        measured = self.measure(name)
        if isinstance(measured, Skipped):
            return f"{name}: not measured: {measured.skipped}"
        return SECTIONS[name].table(self, measured)

    @property
    def failed(self) -> list[str]:
        """The sections that failed."""
        return [name for name, found in self.found.items() if isinstance(found, Skipped) and found.failed]

    @property
    def missing(self) -> list[str]:
        """The sections that could not be measured, since something is not installed here."""
        return [name for name, found in self.found.items() if isinstance(found, Skipped) and not found.failed]

    @property
    def left_out(self) -> list[str]:
        """All that was not measured, with the reason."""
        told = [f"{name}: {self.found[name].skipped}" for name in (*self.missing, *self.failed)]
        for found in self.found.values():
            if isinstance(found, alone.Alone):
                told += [f"alone: {name}: {why}" for name, why in found.missing.items()]
            elif isinstance(found, list):
                told += [f"peers: {p.name}: {p.why_not}" for p in found if isinstance(p, compared.Peer) and p.why_not]
        return told

    def rate(self, name: str) -> live.Rate | None:
        """The rate that others are compared with, of "bare" or "pipeline", if it was measured."""
        measured = self.found.get(name)
        if isinstance(measured, bare.Bare):
            return measured.poll
        return measured.rate if isinstance(measured, pipeline.Pipeline) else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


class Section(NamedTuple):
    """How it is measured, and told."""

    measure: Callable[[Run], Any]
    table: Callable[[Run, Any], str]


def _latency(run: Run) -> latency.Latencies:
    if isinstance(run.measure("pipeline"), Skipped):
        raise MissingTool(run.found["pipeline"].skipped)
    top = run.found["pipeline"].rate.median
    # As fast as the wind for a second or two of a small backlog is no rate to hold.
    quick = latency.Plan(min(top, 2_000.0), 1.5, 8, (0.5,), (0.0,), (latency.OFTEN,))
    return latency.measure(run.ground, quick if run.quick else latency.Plan(top, 6.0, 110))


def _backtest(run: Run) -> history.History:
    if run.quick:
        return history.measure(60, 2, 1)
    return history.measure() if run.million else history.measure(history.PRINCIPALS // 10, history.DAYS, 2)


def _plain(measure: Callable[[Run], Any], table: Callable[[Any], str]) -> Section:
    return Section(measure, lambda _, found: table(found))


SECTIONS: Final[Mapping[str, Section]] = {
    "decoding": _plain(lambda run: decoding.measure(1 if run.quick else run.repetitions), decoding.table),
    "scoring": _plain(lambda run: scoring.measure(2, 100, 3, 1) if run.quick else scoring.measure(), scoring.table),
    "audit": _plain(lambda run: audit.measure(1, 100, 3, 2, 2) if run.quick else audit.measure(), audit.table),
    "bare": _plain(lambda run: bare.measure(run.ground, run.size.repetitions), bare.table),
    "pipeline": Section(
        lambda run: pipeline.measure(run.ground, run.size),
        lambda run, found: pipeline.table(found, run.rate("bare")),
    ),
    "partitions": _plain(
        lambda run: partitions.measure(run.ground, (4,) if run.quick else partitions.COUNTS), partitions.table
    ),
    "latency": _plain(_latency, latency.table),
    "workers": _plain(
        lambda run: workers.measure(run.ground, (1, 2), 1) if run.quick else workers.measure(run.ground),
        workers.table,
    ),
    "peers": Section(
        lambda run: compared.measure(run.ground, 1 if run.quick else 3),
        lambda run, found: compared.table(found, run.rate("pipeline")),
    ),
    "alone": _plain(
        lambda run: alone.measure(run.ground, 1, 300) if run.quick else alone.measure(run.ground, 3), alone.table
    ),
    "growth": _plain(
        lambda run: growth.measure(100, (1, 3), 1, 2, huge=False) if run.quick else growth.measure(), growth.table
    ),
    "backtest": _plain(_backtest, history.table),
}
