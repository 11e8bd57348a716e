"""What a tuning tells a person: the thresholds, what they cost and catch, and what others would."""

import math
from collections.abc import Sequence
from typing import Any, Final

from detector.audit.answer import Answer, Table, iso
from detector.tune.fragment import count_words, delay_words
from detector.tune.proposal import Proposal
from detector.wording import number, plural

_POINT: Final = ("budget", "alerts_a_day", "low", "high")

SETTLED: Final = 56
"""Days of history, warm-up included, from which on every baseline counts: those of many weeks say nothing before."""


def told(proposal: Proposal, history: str) -> Answer:
    """The answer."""
    facts: dict[str, Any] = {
        "asked": f"{proposal.aim.a_day:g} alerts a day"
        + (f" by {proposal.aim.detector}" if proposal.aim.detector else "")
        + (f" of role {proposal.aim.role}" if proposal.aim.role else ""),
        "history": f"{history}, {span_words(proposal)}",
        "false alerts a day": f"{proposal.now_a_day:.2f} → {proposal.a_day:.2f} "
        f"({proposal.low:.2f} to {proposal.high:.2f}, from {plural(len(proposal.verified), 'day')} drawn anew)",
    }
    if len(weeks := proposal.weeks) > 1:
        facts["by week"] = f"{', '.join(map(number, weeks))}, the last one last"
    facts["a week to come"] = f"{_of_week(proposal)}, if it is like these days"
    if proposal.delays:
        before, after = (_caught(list(each.values())) for each in (proposal.delays_now, proposal.delays))
        facts["known incidents"] = f"{before} → {after}"
    return Answer([_thresholds(proposal), _curve(proposal), _incidents(proposal)], facts, notes=_notes(proposal))


def _of_week(proposal: Proposal) -> str:
    return "{:.2f} to {:.2f} a day, nine times of ten".format(*proposal.week)


def _caught(delays: list[float | None]) -> str:
    caught = sum(delay is not None for delay in delays)
    return f"{count_words(caught, len(delays))}, median {delay_words(delays)}"


def span_words(proposal: Proposal) -> str:
    """From when to when alerts were counted."""
    first, last = proposal.played.first, proposal.played.last
    return "no events" if first is None or last is None else f"{iso(first)} to {iso(last)}"


def _thresholds(proposal: Proposal) -> Table:
    rows = [(name, threshold, float(f"{10.0**-threshold:.3g}")) for name, threshold in proposal.thresholds.items()]
    table = Table("thresholds", "Proposed thresholds", ("detector", "threshold", "p_value"), list(rows))
    table.note = "Threshold: the score, -log10 of the p-value, that a finding must pass."
    return table


def _curve(proposal: Proposal) -> Table:
    names = [name for name in proposal.thresholds if len({p.trial.thresholds[name] for p in proposal.curve}) > 1]
    known = bool(proposal.delays)
    rows: list[tuple[Any, ...]] = []
    for point in proposal.curve:
        trial, delays = point.trial, list(point.trial.delays.values())
        numbers = (round(value, 3) for value in (trial.a_day, point.low, point.high))
        told = (count_words(trial.caught, len(delays)), delay_words(delays)) if known else ()
        rows.append((point.budget, *numbers, *told, *(trial.thresholds[name] for name in names)))
    columns = (*_POINT, *(("caught", "median_delay") if known else ()), *names)
    table = Table("curve", "What other budgets would give, by the recorded scores", columns, rows)
    table.note = "Low, high: nine of ten means of days drawn anew. A guess from one recording, not played again."
    return table


def _incidents(proposal: Proposal) -> Table:
    rows = [(name, proposal.delays_now[name], delay) for name, delay in proposal.delays.items()]
    table = Table("incidents", "Known incidents", ("incident", "delay_before", "delay_after"), list(rows))
    table.note = "Delay: seconds from the first harm to the first alert; none: missed." if rows else ""
    return table


def _notes(proposal: Proposal) -> list[str]:
    aim, days = proposal.aim, len(proposal.verified)
    notes = [f"History was played {plural(proposal.rounds, 'time')} with thresholds chosen; the nearest is proposed."]
    lowest = all(threshold <= aim.least for threshold in proposal.thresholds.values())
    if proposal.fixed > 0:
        of = ", ".join(f"{name} {a_day:.2f}" for name, a_day in proposal.fixed_by.items())
        notes.append(
            f"{proposal.fixed:.2f} alerts a day come of fixed rules and other detectors, by what they rest on: {of}. "
            "No threshold proposed here moves them (`new_endpoint` is set by its own `external_p`, `public_p` and "
            "`inside_p`): see `detector backtest` for which they are, and their settings, `mutes` and charters."
        )
    elif lowest and proposal.a_day < 0.9 * aim.a_day:
        notes.append(
            f"Scores from {aim.least:g} on make no more alerts than that: the budget is kept with room. "
            "--least goes lower, to what happens by chance."
        )
    if proposal.days < SETTLED:
        notes.append(
            f"{plural(proposal.days, 'day')} of history were played, warm-up included: baselines of many weeks begin "
            f"to speak after six, and may add alerts then. Tune anew with {SETTLED} days or more."
        )
    notes += _unsettled(proposal.weeks)
    if days % 7:
        notes.append(
            f"{plural(days, 'day')} are no whole weeks: working days and weekends may weigh too much or little."
        )
    if days * proposal.a_day < 20:
        notes.append(f"It rests on {plural(sum(proposal.verified), 'alert')}: expect the next weeks to differ.")
    return notes


def _unsettled(weeks: Sequence[int]) -> list[str]:
    """What to say of alerts that become more from week to week."""
    if len(weeks) < 2:
        return []
    first, last, before, after = weeks[0], weeks[-1], weeks[:-1], weeks[1:]
    said = ""
    if _more([last], before):
        said = (
            f"In the last week there were {number(last)} alerts, before {number(_mean(before))} a week: the next ones "
            "may have more than is asked for, too. Tune anew after some weeks."
        )
    elif _more(after, [first]):
        said = (
            f"In the first week there were {number(first)} alerts, later {number(_mean(after))} a week: baselines were "
            "settling still, and the next weeks may have more than is asked for. Give it a longer --warm-up, or a "
            "--from that is a week later."
        )
    return [said] if said else []


def _mean(weeks: Sequence[int]) -> float:
    return sum(weeks) / len(weeks)


def _more(some: Sequence[int], than: Sequence[int]) -> bool:
    """Whether some weeks have more alerts than others, by more than chance makes of it one time of twenty."""
    usual = _mean([*some, *than])
    return _mean(some) - _mean(than) > 1.645 * math.sqrt(max(usual, 1.0) * (1 / len(some) + 1 / len(than)))
