"""Charts of an incident, as SVG that stands by itself: no script, no font, no network, the same bytes each time."""

import io
import warnings
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from detector.wording import printable, size

LANES_MOST: Final = 14

# These say nothing of their types.
_CANVAS: Final[Any] = FigureCanvasSVG
_LOCATOR: Final[Any] = AutoDateLocator
_FORMATTER: Final[Any] = ConciseDateFormatter
_NUMBER: Final[Any] = date2num

_COLOURS: Final = {"SEV0": "#7f1d1d", "SEV1": "#b91c1c", "SEV2": "#d97706", "SEV3": "#0e7490", "SEV4": "#94a3b8"}
_INK, _QUIET, _HARM, _ALERT, _OPEN = "#1f2937", "#cbd5e1", "#b91c1c", "#1d4ed8", "#fde68a"
_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#64748b",
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "text.parse_math": False,
}


def timeline(
    events: Sequence[Mapping[str, Any]],
    findings: Sequence[Mapping[str, Any]],
    windows: Iterable[Mapping[str, Any]],
    harm: datetime | None,
    alert: datetime,
) -> bytes:
    """Who did what when: a lane for each, findings in the colour of their severity; the first harm and the alert."""
    lanes = list(dict.fromkeys(row["principal"] for row in (*findings, *events)))[:LANES_MOST]
    place = {name: len(lanes) - number for number, name in enumerate(lanes)}

    def draw(axes: Axes) -> None:
        for window in windows:
            axes.axvspan(_at(window["opened_at"]), _at(window["closed_at"] or alert), color=_OPEN, alpha=0.5, lw=0)
        known = [event for event in events if event["principal"] in place]
        at = [_at(event["time"]) for event in known]
        axes.plot(at, [place[e["principal"]] for e in known], "|", color="#475569", ms=9, label="event", zorder=2)
        for severity, colour in sorted(_COLOURS.items(), reverse=True):
            told = [f for f in findings if f["severity"] == severity and f["principal"] in place]
            if told:
                where = [place[finding["principal"]] for finding in told]
                axes.plot([_at(f["time"]) for f in told], where, "D", color=colour, ms=7, label=severity, zorder=3)
        _mark(axes, harm, "first harm", _HARM)
        _mark(axes, alert, "alert", _ALERT, above=13)
        axes.set_yticks(list(place.values()), [_label(name) for name in place])
        axes.set_ylim(0.3, len(lanes) + 0.7)
        axes.grid(axis="y", color="#e2e8f0", zorder=0)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncol=8, frameon=False)

    return _svg(draw, 1.4 + 0.3 * max(3, len(lanes)), "timeline")


def transfer(hours: Sequence[Mapping[str, Any]], baseline: Sequence[float], span: tuple[datetime, datetime]) -> bytes:
    """Bytes that a principal moved in each hour, against what it usually moves in its active hours.

    Args:
        hours: `hour` and `bytes` of each active hour, in order.
        baseline: Median and 95th percentile of the hours before the incident.
        span: Where the incident lies.
    """

    def draw(axes: Axes) -> None:
        inside = [span[0] - timedelta(hours=1) <= row["hour"] < span[1] for row in hours]
        colours = [_HARM if within else "#64748b" for within in inside]
        at = [_at(row["hour"]) for row in hours]
        axes.bar(at, [max(row["bytes"], 1) for row in hours], width=50 / 1440, color=colours, align="edge")
        for value, label, style in zip(baseline, ("usual (median)", "usual peak (95%)"), ("-", "--"), strict=True):
            if value > 0:
                axes.axhline(value, color=_ALERT, ls=style, lw=1.2, label=f"{label}: {size(value)} an hour")
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: size(value)))
        axes.set_ylabel("bytes an hour (log)")
        if any(value > 0 for value in baseline):
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncol=2, frameon=False)

    return _svg(draw, 2.6, "transfer")


def exposure(window: Mapping[str, Any], reads: Sequence[Mapping[str, Any]], until: datetime) -> bytes:
    """How many of the newly admitted had read what stood open, over time, and how many records.

    Args:
        window: The window.
        reads: `time`, `principal` and `records` of each read by a newly admitted principal, in order.
        until: The end of a window that is open.
    """

    def draw(axes: Axes) -> None:
        end = window["closed_at"] or until
        people: set[str] = set()
        at, count, records = [_at(window["opened_at"])], [0], [0]
        for read in reads:
            people.add(read["principal"])
            at.append(_at(read["time"]))
            count.append(len(people))
            records.append(records[-1] + read["records"])
        at, count, records = [*at, _at(end)], [*count, count[-1]], [*records, records[-1]]
        axes.axvspan(_at(window["opened_at"]), _at(end), color=_OPEN, alpha=0.5, lw=0)
        axes.step(at, count, where="post", color=_HARM, lw=1.8, label="people who read it")
        axes.set_ylabel("people")
        axes.set_ylim(0, max(count) + 1)
        right = axes.twinx()
        right.step(at, records, where="post", color="#0e7490", lw=1.4, label="records read")
        right.set_ylabel("records")
        right.set_ylim(0, max(1, records[-1]) * 1.1)
        _mark(axes, window["opened_at"], "opened", _HARM)
        if window["closed_at"] is not None:
            _mark(axes, window["closed_at"], "closed", _ALERT)
        lines = [*axes.get_lines()[:1], *right.get_lines()]
        labels = [str(line.get_label()) for line in lines]
        axes.legend(lines, labels, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncol=2, frameon=False)

    return _svg(draw, 2.6, f"exposure {window['id']}")


def _svg(draw: Any, height: float, salt: str) -> bytes:
    """One chart as SVG; what it is made with stays out of it."""
    # Names may be in any script: what the measuring font lacks, the reader's browser has.
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": salt}), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        figure = Figure(figsize=(9.6, height + 0.6), layout="tight")
        axes = figure.add_subplot()
        draw(axes)
        locator: Any = _LOCATOR(tz=UTC)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(_FORMATTER(locator, tz=UTC))
        out = io.BytesIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        _CANVAS(figure).print_svg(out, metadata=nothing)
    body = out.getvalue()
    return body[body.index(b"<svg") :]


def _mark(axes: Axes, at: datetime | None, label: str, colour: str, above: int = 3) -> None:
    """A moment: a line with a word over it, so many points above the axes."""
    if at is not None:
        axes.axvline(_at(at), color=colour, lw=1.2, zorder=1)
        place = (_at(at), 1.0), axes.get_xaxis_transform()
        axes.annotate(label, *place[:1], (0, above), place[1], "offset points", color=colour, ha="center", fontsize=8)


def _at(time: datetime) -> Any:
    return _NUMBER(time.astimezone(UTC))


def _label(name: str) -> str:
    text = printable(name)
    return text if len(text) <= 32 else f"{text[:31]}…"
