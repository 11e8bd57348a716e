"""The results as a page, with the machine that they are of, and a chart beside it."""

import importlib.metadata
import os
import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.bench import targets
from tests.bench.bare import Bare
from tests.bench.compared import Peer
from tests.bench.latency import NEVER, OFTEN, Latencies, Level
from tests.bench.pipeline import Pipeline
from tests.bench.sections import Run

FOLDER: Final = Path(__file__).parent
PAGE: Final = "RESULTS.md"
CHART: Final = "RESULTS.png"
_VERSIONS: Final = (
    "kafka-python", "confluent-kafka", "msgspec", "river", "numpy", "clickhouse-connect", "chdb-core", "lz4", "crc32c",
)  # fmt: skip
_TITLES: Final = {
    "decoding": "Decoding",
    "scoring": "Scoring alone",
    "audit": "The event store and auditors' questions",
    "bare": "Reading alone",
    "pipeline": "The whole pipeline",
    "partitions": "More partitions, and the faster client",
    "latency": "From the event to the alert",
    "workers": "Several workers",
    "peers": "Others at comparable work",
    "alone": "Others' detectors by themselves",
    "growth": "Many principals, and files",
    "backtest": "Trying a configuration on stored history",
}
_OURS, _OTHERS = "#1f5fa8", "#9aa5b1"


def write(run: Run, folder: Path = FOLDER, now: datetime | None = None) -> list[Path]:
    """Write the page, and the chart if there is something to draw; the files."""
    page = folder / PAGE
    pictured = _draw(run.found, folder / CHART)
    page.write_text(text(run, now or datetime.now(UTC), pictured=pictured), encoding="utf-8")
    return [page, *([folder / CHART] if pictured else [])]


def text(run: Run, now: datetime, *, pictured: bool) -> str:
    """The page: targets first, then each section's table, then what it was measured on."""
    parts = ["# What the benchmark gave", f"`{_command()}`, {now:%Y-%m-%d}. {machine()}."]
    if run.quick:
        parts.append("**A quick run: it shows that the benchmark works; its numbers say nothing.**")
    if pictured:
        parts.append(f"![Events a second, and seconds to the alert]({CHART})")
    if told := targets.targets(run.found):
        parts += ["## Wanted, and measured", targets.table(told)]
        if reasons := targets.reasons(run.found):
            parts += ["### What holds those that are not met", reasons]
    for name in run.found:
        parts += [f"## {_TITLES[name]}", run.table(name)]
    parts += ["## Versions", f"Python {platform.python_version()}, {', '.join(map(_version, _VERSIONS))}."]
    return "\n\n".join(parts) + "\n"


def _command() -> str:
    return " ".join(["python -m tests.bench", *sys.argv[1:]])


def _version(package: str) -> str:
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return f"no {package}"


def machine(cpuinfo: Path = Path("/proc/cpuinfo"), meminfo: Path = Path("/proc/meminfo")) -> str:
    """The processor, its cores, the memory, the system, and how busy it was with other things in the last minutes."""
    models = [line.partition(":")[2].strip() for line in _lines(cpuinfo) if line.startswith("model name")]
    memory = [int(line.split()[1]) >> 20 for line in _lines(meminfo) if line.startswith("MemTotal")]
    told = [
        models[0] if models else platform.machine(),
        f"{os.cpu_count()} cores",
        *(f"{size} GiB" for size in memory),
        f"{platform.system()} {platform.release()}",
        f"load average of a quarter of an hour {os.getloadavg()[2]:.1f} at the end",
    ]
    return ", ".join(told)


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _draw(found: Mapping[str, Any], path: Path) -> bool:
    """Events a second on the left, seconds to the alert on the right; whether there was anything to draw."""
    bars, latencies = _bars(found), found.get("latency")
    if not bars and not isinstance(latencies, Latencies):
        return False
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(11, 4), layout="constrained")
        left, right = figure.subplots(1, 2)
        _draw_rates(left, bars)
        _draw_latencies(right, latencies if isinstance(latencies, Latencies) else None)
        figure.savefig(path, dpi=120, metadata={"Software": None})
    return True


def _bars(found: Mapping[str, Any]) -> list[tuple[str, float, bool]]:
    """Name, messages a second, and whether it is the detector's."""
    bars: list[tuple[str, float, bool]] = []
    if isinstance(bare := found.get("bare"), Bare):
        bars += [
            ("kafka-python, nothing behind it", bare.poll.median, False),
            ("kafka-python and decode", bare.decode.median, False),
        ]
    if isinstance(found.get("peers"), list):
        peers: list[Peer] = found["peers"]
        bars += [(peer.name, peer.rate.median, False) for peer in peers if peer.rate is not None]
    if isinstance(pipe := found.get("pipeline"), Pipeline):
        bars.append(("detector run: everything", pipe.rate.median, True))
    return sorted(bars, key=lambda bar: bar[1])


def _draw_rates(axes: Axes, bars: list[tuple[str, float, bool]]) -> None:
    axes.set_title("Messages a second, one process", loc="left")
    drawn = axes.barh([name for name, _, _ in bars], [rate for _, rate, _ in bars],
                      color=[_OURS if ours else _OTHERS for _, _, ours in bars])  # fmt: skip
    axes.bar_label(drawn, labels=[f"{rate:,.0f}" for _, rate, _ in bars], padding=3)
    axes.margins(x=0.18)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)


def _draw_latencies(axes: Axes, latencies: Latencies | None) -> None:
    axes.set_title("Seconds from the event to its alert", loc="left")
    if latencies is None:
        axes.set_axis_off()
        return
    lines: dict[str, list[Level]] = {"no checkpoint": [], f"a checkpoint every {OFTEN:g} s": []}
    for level in latencies.levels:
        if level.webhook is None:
            [*lines.values()][level.every < NEVER].append(level)
    for (name, levels), colour in zip(lines.items(), (_OURS, "#d1495b"), strict=True):
        if not levels:
            continue
        shares = [level.share * 100 for level in levels]
        axes.plot(shares, [level.alert.p99 for level in levels], "o-", color=colour, label=f"p99, {name}")
        axes.plot(shares, [level.alert.p50 for level in levels], "o--", color=colour, label=f"p50, {name}")
    axes.plot(*_bare(latencies), "o:", color=_OTHERS, label="p50, bare consumer")
    axes.set_xlabel("load, % of the top rate")
    axes.set_xlim(-4, 104)
    axes.margins(y=0.1)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)


def _bare(latencies: Latencies) -> tuple[list[float], list[float]]:
    levels = [level for level in latencies.levels if level.every >= NEVER and level.webhook is None]
    return [level.share * 100 for level in levels], [level.bare.p50 for level in levels]
