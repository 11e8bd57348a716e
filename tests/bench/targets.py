"""What the project wants to reach, beside what was measured."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from tests.bench.bare import Bare
from tests.bench.compared import Peer
from tests.bench.growth import Growth
from tests.bench.history import History
from tests.bench.latency import NEVER, Latencies, Level
from tests.bench.partitions import Partitions
from tests.bench.pipeline import Pipeline
from tests.bench.scoring import ScoringCosts
from tests.bench.workers import Workers


class Target(NamedTuple):
    """One of them: what, how much is wanted, how much there is, and whether that is enough."""

    what: str
    wanted: str
    measured: str
    met: bool


_SCORING: Final = (
    "scoring{most}; what is around it (the client, rows of the store, checkpoints) takes turns with it in one "
    "interpreter"
)
_SHARED: Final = (
    "the load's producer, the broker, who listens and the service share these cores, and the top rate is of another "
    "minute of a machine that others use, too: where loads did not come through, their table says so"
)
# By the beginning of what is not met: what holds it. Profiles behind it are in PROFILE.md.
_CAUSES: Final = {
    "scoring": "an event makes some 270 Python calls, no function has a tenth of the time by itself, and compiled "
    "models came to 0.86 of it (PROFILE.md): the limit of pure Python",
    "pipeline, of bare": _SCORING,
    "pipeline, of": "peers keep one fading mean and one set for each principal and score one forest of ten trees "
    "(`peers/work.py`); the detector does all of its own work, stores every event and saves its state",
    "pipeline": _SCORING,
    "reading by": "scoring{most}: the client is a small part of what a message costs",
    "an event with the most": "more of them are at work than are held ready (`scoring.max_ready`), so that "
    "most have to be read out of their rows first: what memory asks for costs this (PROFILE.md)",
    "two workers": "one worker fills a core by itself (PROFILE.md), and two of them share both cores with the broker "
    "and whatever else there is to do; how much of the cores each took stands in their table",
    "sent": _SHARED,
    "what a checkpoint": _SHARED,
    "a configuration of a backtest": "they are played at the same time, and on cores that others use, too, they take "
    "caches and turns from each other, and the fewer the events, the more the start of three processes counts; by "
    "itself the section came to 1.15 to 1.26 (PROFILE.md)",
    "files replayed": "scoring{most}, and both stages share one process",
    "memory of": "sums, habits and sequences are Python objects once a principal is read out of its row",
    "memory a principal": "a row is msgpack already: names of endpoints, sums over three half-lives, counts of steps",
}
_UNKNOWN: Final = "no cause is known yet"

# By the beginning of a peer's name: as many times its rate.
_TIMES: Final = {"Bytewax": 2.0, "Quix": 3.0, "Faust": 10.0}


def targets(found: Mapping[str, Any]) -> list[Target]:
    """Of all that was measured, in the order of the sections; what was not measured is not told."""
    bare, pipe = found.get("bare"), found.get("pipeline")
    told = [
        _most("decoding `native`", 5.0, decoded.microseconds, "µs an event")
        for decoded in _listed(found.get("decoding"))
        if decoded.format == "native"
    ]
    if isinstance(found.get("scoring"), ScoringCosts):
        told += _scoring(found["scoring"])
    if isinstance(pipe, Pipeline):
        if isinstance(bare, Bare):
            told.append(_least("pipeline, of bare `poll()`", 50.0, pipe.rate.median / bare.poll.median * 100, "%"))
        told.append(_least("pipeline", 40_000.0, pipe.rate.median, "events/s"))
    if isinstance(found.get("partitions"), Partitions):
        best = max(one.rate.median for one in found["partitions"].readings if one.client == "confluent-kafka")
        told.append(_least("reading by confluent-kafka, no event store", 80_000.0, best, "events/s"))
    if isinstance(found.get("latency"), Latencies):
        told += _latency(found["latency"])
    if isinstance(found.get("workers"), Workers):
        told += [_least("two workers, of one", 1.7, s.ratio, "times")
                 for s in found["workers"].scaled if s.workers == 2]  # fmt: skip
    if isinstance(pipe, Pipeline):
        told += _peers(_listed(found.get("peers")), pipe)
    if isinstance(found.get("growth"), Growth):
        told += _growth(found["growth"])
    if isinstance(found.get("backtest"), History):
        what = f"a configuration of a backtest of {found['backtest'].events:,} stored events"
        told.append(_most(what, 1.3, found["backtest"].cpu_ratio, "times their replay"))
    return told


def reasons(found: Mapping[str, Any]) -> str:
    """What holds those that are not met, as Markdown; empty if all are."""
    scored = found.get("scoring")
    most = ""
    if isinstance(scored, ScoringCosts):
        each = min(cost.microseconds for cost in (scored.days, *scored.by_principals))
        most = f" alone takes {each:.0f} µs an event at the least, so that no process passes {1e6 / each:,.0f} events/s"
    held: dict[str, list[str]] = {}
    for one in targets(found):
        if not one.met:
            why = next((cause for start, cause in _CAUSES.items() if one.what.startswith(start)), _UNKNOWN)
            held.setdefault(why.format(most=most), []).append(one.what)
    return "\n".join(f"- {'; '.join(whats)}: {why}." for why, whats in held.items())


def _listed(found: Any) -> list[Any]:
    """What was found, if the section was measured."""
    return found if isinstance(found, list) else []


def _scoring(costs: ScoringCosts) -> Iterator[Target]:
    yield _most("scoring, all detectors", 8.0, costs.days.microseconds, "µs an event")
    yield _most("an event with the most principals", 1.3, costs.growth, "times the fewest")
    yield _most("longest pause in scoring", 200.0, costs.longest_pause, "ms")


def _latency(latencies: Latencies) -> Iterator[Target]:
    plain = {level.share: level for level in latencies.levels if level.every >= NEVER and level.webhook is None}
    saved = {level.share: level for level in latencies.levels if level.every < NEVER}
    if 0.5 in saved:
        yield _most("sent → alert, p99 at half load", 1.0, saved[0.5].alert.p99, "s")
    if 0.5 in saved and 0.5 in plain:
        added = (saved[0.5].alert.p99 - plain[0.5].alert.p99) * 1e3
        yield _most("what a checkpoint adds to it", 300.0, added, "ms")
    hooked: dict[float, Level] = {level.share: level for level in latencies.levels if level.webhook is not None}
    for share, name, most in ((0.0, "idle", 1.0), (0.5, "at half load", 2.0)):
        if share in hooked and (webhook := hooked[share].webhook) is not None:
            yield _most(f"sent → webhook, p99 {name}", most, webhook.p99, "s")


def _peers(peers: list[Peer], pipe: Pipeline) -> Iterator[Target]:
    for peer in peers:
        for start, times in _TIMES.items():
            if peer.name.startswith(start) and peer.rate is not None:
                yield _least(f"pipeline, of {peer.name}", times, pipe.rate.median / peer.rate.median, "times")


def _growth(growth: Growth) -> Iterator[Target]:
    for held in growth.held:
        if 90_000 <= held.principals <= 110_000:
            yield _most(f"memory of {held.principals:,} principals in use", 600.0, held.total, "MiB")
            yield _most(f"longest pause with {held.principals:,} principals", 200.0, held.pause, "ms")
    yield _most("memory a principal, as rows", 4.096, growth.held[-1].as_rows / 1e3, "kB")
    yield _least("files replayed", 80_000.0, growth.replay.median, "events/s")


def _most(what: str, wanted: float, measured: float, unit: str) -> Target:
    return Target(what, f"≤ {wanted:,g} {unit}", _number(measured), measured <= wanted)


def _least(what: str, wanted: float, measured: float, unit: str) -> Target:
    return Target(what, f"≥ {wanted:,g} {unit}", _number(measured), measured >= wanted)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(told: list[Target]) -> str:
    """As Markdown."""
    lines = ["| | wanted | measured | |", "| --- | ---: | ---: | --- |"]
    lines += [f"| {one.what} | {one.wanted} | {one.measured} | {'met' if one.met else '**not met**'} |" for one in told]
    return "\n".join(lines)
