"""The trade-off as a picture: alerts a day by budget, with their range, and what is caught how soon."""

import base64
import html
import io
from typing import Any, Final

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from detector.tune.proposal import Proposal

_CANVAS: Final[Any] = FigureCanvasAgg
_INK, _RANGE, _LINE, _CHOSEN, _CAUGHT = "#1f2937", "#bfdbfe", "#1d4ed8", "#b91c1c", "#0e7490"
_STYLE: Final[dict[Any, Any]] = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#64748b",
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "text.parse_math": False,
}


def png(proposal: Proposal) -> bytes:
    """The trade-off as PNG; the same proposal gives the same bytes."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(9.6, 5.2 if proposal.delays else 3.4), layout="tight", dpi=110)
        panels = 2 if proposal.delays else 1
        axes = figure.subplots(panels, 1, sharex=True, squeeze=False)[:, 0]
        _alerts(axes[0], proposal)
        if proposal.delays:
            _caught(axes[1], proposal)
        axes[-1].set_xlabel("budget: alerts a day that are asked for")
        out = io.BytesIO()
        _CANVAS(figure).print_png(out, metadata={"Software": None})
    return out.getvalue()


def _alerts(axes: Axes, proposal: Proposal) -> None:
    budgets = [point.budget for point in proposal.curve]
    axes.fill_between(
        budgets, [p.low for p in proposal.curve], [p.high for p in proposal.curve], color=_RANGE, lw=0,
        label="nine of ten draws of days",
    )  # fmt: skip
    axes.plot(budgets, [p.trial.a_day for p in proposal.curve], "o-", color=_LINE, label="by the recorded scores")
    error = [[proposal.a_day - proposal.low], [proposal.high - proposal.a_day]]
    axes.errorbar(
        [proposal.aim.a_day], [proposal.a_day], yerr=[[max(0.0, e) for e in side] for side in error], fmt="D",
        color=_CHOSEN, capsize=4, label="proposal, played again",
    )  # fmt: skip
    axes.axhline(proposal.now_a_day, color="#64748b", ls="--", lw=1, label="as it is")
    axes.set_ylabel("false alerts a day")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, loc="upper left")


def _caught(axes: Axes, proposal: Proposal) -> None:
    budgets = [point.budget for point in proposal.curve]
    axes.step(budgets, [p.trial.caught for p in proposal.curve], where="mid", color=_CAUGHT, lw=1.8)
    axes.plot([proposal.aim.a_day], [sum(d is not None for d in proposal.delays.values())], "D", color=_CHOSEN)
    axes.set_ylabel(f"incidents caught, of {len(proposal.delays)}")
    axes.set_ylim(0, len(proposal.delays) + 0.5)


def page(proposal: Proposal, title: str, fragment: str) -> str:
    """The picture and the fragment as one HTML file that needs no other."""
    picture = base64.b64encode(png(proposal)).decode()
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>\n'
        "<style>body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1f2937}"
        "img{max-width:100%}pre{background:#f1f5f9;padding:1rem;overflow:auto}</style>\n"
        f"<h1>{html.escape(title)}</h1>\n"
        f'<img alt="False alerts a day by budget" src="data:image/png;base64,{picture}">\n'
        f"<pre>{html.escape(fragment)}</pre></html>\n"
    )
