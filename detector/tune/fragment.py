"""The proposal as a fragment of configuration: YAML with comments, for a person to review."""

import json
from collections.abc import Sequence
from typing import Any

from detector.tune.proposal import Proposal, overrides
from detector.wording import duration, number


def fragment(proposal: Proposal, history: str, span: str) -> str:
    """The overrides that set the thresholds, with what history says of them.

    Args:
        proposal: What is proposed.
        history: Where the history comes from, in words.
        span: From when to when.
    """
    aim = proposal.aim
    about = f"{aim.a_day:g} alerts a day" + (f" by {aim.detector}" if aim.detector else "")
    about += f" of role {aim.role}" if aim.role else ""
    drawn = f"{proposal.low:.2f} to {proposal.high:.2f} in nine of ten draws of days"
    lines = [
        f"# Proposed by `detector tune` for {about}, to be reviewed; nothing was changed.",
        f"# History: {_one_line(history)}, {span}.",
        f"# False alerts a day: {proposal.now_a_day:.2f} as it was, {proposal.a_day:.2f} with this ({drawn}).",
        "# A week to come, if it is like these days: {:.2f} to {:.2f} a day, nine times of ten.".format(*proposal.week),
    ]
    if proposal.delays:
        caught = [sum(delay is not None for delay in each.values()) for each in (proposal.delays_now, proposal.delays)]
        lines.append(
            f"# Known incidents caught: {caught[0]} of {len(proposal.delays)} as it was, {caught[1]} with this."
        )
    lines += [
        "# Thresholds are scores, -log10 of a p-value as findings show it, and hold whatever the budget says.",
        "# Overrides that stand before these win where they set a threshold for the same detector.",
        "overrides:",
    ]
    first, last = proposal.played.first, proposal.played.last
    days = f"{first:%Y-%m-%d} to {last:%Y-%m-%d}" if first and last else "nothing"
    reason = f"detector tune: {about}, on {days}"
    for each in overrides(aim, proposal.thresholds, reason):
        fields = each.model_dump(mode="json", exclude_defaults=True)
        lines += [f"  - name: {_yaml(fields.pop('name'))}"]
        lines += [f"    {key}: {_yaml(value)}" for key, value in fields.items()]
    return "\n".join(lines) + "\n"


def _yaml(value: Any) -> str:
    """A value in the part of YAML that is JSON."""
    return json.dumps(value, ensure_ascii=False)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def delay_words(delays: Sequence[float | None]) -> str:
    """How soon incidents were told, in words: the median of those that were."""
    known = sorted(delay for delay in delays if delay is not None)
    if not known:
        return "-"
    middle = known[len(known) // 2]
    return duration(middle) if middle >= 0 else f"{duration(-middle)} before"


def count_words(caught: int, of: int) -> str:
    """How many incidents were told, of how many."""
    return f"{number(caught)} of {number(of)}" if of else "-"
