"""From the sending of an event to its alert, at shares of the top rate; and to the call of a webhook by Alertmanager.

Beside the service a bare consumer reads the same topic: what it takes to see a probe is Kafka's and the machine's part.
Alertmanager is told to call at once: what `deploy/alertmanager` waits to group alerts comes on top.
"""

import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final, NamedTuple, Self

import msgspec

from tests.bench.live import Ground, deployment, done
from tests.bench.load import PROBE
from tests.bench.probes import WAIT, Latency, Listener, listening, loading, send
from tests.support.alertmanager import running_alertmanager
from tests.support.receiver import Receiver, running_receiver
from tests.support.service import Deployment, Running, until

NEVER: Final = 86_400.0
OFTEN: Final = 2.0
_SETTLE: Final = 2.0
_LOOK: Final = 0.02
_KEPT_UP: Final = 0.9


class Level(msgspec.Struct, frozen=True):
    """One load: `share` of the top rate, which is `rate` messages a second; `every` seconds a checkpoint.

    `scored` is messages a second that came through, probes among them; `checkpoints` were made meanwhile, and `behind`
    messages waited when the last probe had been sent.
    """

    share: float
    rate: float
    scored: float
    every: float
    checkpoints: int
    behind: int
    bare: Latency
    alert: Latency
    webhook: Latency | None = None


class Latencies(msgspec.Struct, frozen=True):
    """All levels, and why there is no webhook, if there is none."""

    top: float
    levels: list[Level]
    no_webhook: str = ""


class Plan(NamedTuple):
    """What is asked: shares of the `top` rate (messages a second), for so many seconds each, with so many probes.

    `every` are the seconds between checkpoints, each with all `shares`; `hooked` the shares with Alertmanager.
    """

    top: float
    seconds: float
    probes: int
    shares: Sequence[float] = (0.0, 0.1, 0.5, 0.8)
    hooked: Sequence[float] = (0.0, 0.5)
    every: Sequence[float] = (NEVER, OFTEN)


class Calls:
    """When Alertmanager first called for each probe."""

    def __init__(self, receiver: Receiver) -> None:
        self.url = receiver.url
        self.at: dict[str, float] = {}
        self._receiver = receiver
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._note)

    def _note(self) -> None:
        known = 0
        while not self._over.wait(_LOOK / 4):
            requests, now = self._receiver.requests, time.time()
            while known < len(requests):
                for alert in msgspec.json.decode(requests[known].body)["alerts"]:
                    for name in alert["annotations"]["principals"].split(", "):
                        if name.startswith(PROBE):
                            self.at.setdefault(name, now)
                known += 1

    def wait(self, names: Sequence[str]) -> None:
        """Until all were called for, or for half a minute."""
        limit = time.monotonic() + WAIT
        while not set(names) <= self.at.keys() and time.monotonic() < limit:
            time.sleep(_LOOK)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


class _Service(NamedTuple):
    """One process of the service, and who looks at what comes out of it."""

    ground: Ground
    deployment: Deployment
    running: Running
    heard: Listener
    every: float
    calls: Calls | None

    def level(self, plan: Plan, share: float) -> Level:
        """Load it, probe it."""
        topic, rate = self.deployment.topics["events"], share * plan.top
        mark = f"{share * 100:.0f}"
        until(lambda: not self._behind(), self.running)
        with ExitStack() as stack:
            if rate:
                lasts = _SETTLE + plan.seconds
                stack.enter_context(loading(self.ground.bootstrap, topic, self.ground.file, rate, lasts, mark))
                self._loaded()
            before, began = self._counts(), time.monotonic()
            sent = send(self.ground.bootstrap, topic, mark, plan.probes, plan.seconds / plan.probes)
            waiting = self._behind()
            seconds = time.monotonic() - began
            checkpoints, scored = (now - then for now, then in zip(self._counts(), before, strict=True))
        self.heard.wait(names=list(sent))
        if self.calls is not None:
            self.calls.wait(list(sent))
        bare, alert = (Latency.of(sent, self.heard.seen(kind)) for kind in ("bare", "alert"))
        webhook = Latency.of(sent, self.calls.at) if self.calls is not None else None
        reached = round(scored / seconds, 1)
        return Level(share, round(rate, 1), reached, self.every, int(checkpoints), waiting, bare, alert, webhook)

    def _behind(self) -> int:
        """Messages in the topic that are not scored yet."""
        return max(0, sum(self.deployment.end_offsets("events").values()) - int(done(self.running)))

    def _counts(self) -> tuple[float, float]:
        """Checkpoints and messages so far."""
        return self.running.metric("detector_checkpoint_seconds_count"), done(self.running)

    def _loaded(self) -> None:
        """Wait until the load comes in, and a little more."""
        before = done(self.running)
        until(lambda: done(self.running) > before, self.running)
        time.sleep(_SETTLE / 2)


def measure(ground: Ground, plan: Plan) -> Latencies:
    """Without checkpoints, with many, and with Alertmanager behind it."""
    levels = []
    for every in plan.every:
        with _serving(ground, f"every-{every:g}", every) as service:
            levels += [service.level(plan, share) for share in plan.shares]
    if shutil.which("prometheus-alertmanager") is None:
        return Latencies(plan.top, levels, "prometheus-alertmanager is not installed")
    with running_receiver() as receiver, Calls(receiver) as calls, _serving(ground, "hook", NEVER, calls) as service:
        levels += [service.level(plan, share) for share in plan.hooked]
    return Latencies(plan.top, levels)


@contextmanager
def _serving(ground: Ground, name: str, every: float, calls: Calls | None = None) -> Iterator[_Service]:
    """A process that has made its first alert: what is slow once is no latency."""
    name = f"latency-{name}"
    settings: dict[str, Any] = {}
    with ExitStack() as stack:
        if calls is not None:
            folder = ground.folder / "alertmanager"
            folder.mkdir()
            settings["alertmanager"] = {"url": stack.enter_context(running_alertmanager(folder, calls.url)).url}
        served = deployment(ground, name, every=every, **settings)
        events, alerts = served.topics["events"], served.topics["alerts"]
        running = stack.enter_context(Running(served))
        until(lambda: running.get("/readyz")[0] == 200, running)
        heard = stack.enter_context(listening(ground.bootstrap, events, alerts, served.folder / "heard"))
        first = send(ground.bootstrap, events, "first", 3, 0.2)
        heard.wait(names=list(first))
        yield _Service(ground, served, running, heard, every, calls)
        running.stop()


def table(found: Latencies) -> str:
    """As Markdown."""
    lines = [
        "| load | saved | probes (lost) | bare p50 / p99 | alert p50 / p99 / most | of bare | webhook | of bare |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *map(_line, found.levels),
    ]
    told = f"Seconds; of bare: times its p50. The top rate is {found.top:,.0f} messages/s. {found.no_webhook}"
    return "\n".join([*lines, "", told.strip()])


def _line(level: Level) -> str:
    load = f"{level.share:.0%}: {level.rate:,.0f}/s" if level.rate else "idle"
    if level.scored < _KEPT_UP * level.rate:
        load += f", of which {level.scored:,.0f} came through ({level.behind:,} waiting)"
    saved = f"every {level.every:g} s ({level.checkpoints})" if level.every < NEVER else "none"
    count = f"{level.alert.count} ({level.alert.lost})"
    bare, alert, hook = level.bare, level.alert, level.webhook
    cells = (
        load, saved, count, f"{bare.p50:.3f} / {bare.p99:.3f}", *_told(alert, bare),
        *(_told(hook, bare) if hook is not None else ("-", "-")),
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _told(latency: Latency, bare: Latency) -> tuple[str, str]:
    """Its seconds, and how many times the bare consumer's they are."""
    return f"{latency.p50:.3f} / {latency.p99:.3f} / {latency.most:.3f}", f"{latency.p50 / bare.p50:.1f}"
