"""What a person sees of an evaluation: one row a family of scenarios."""

from rich.table import Table

from detector.evaluation import Evaluation, FamilyResult, Spread
from detector.wording import number


def evaluation_table(evaluation: Evaluation) -> Table:
    """For each family how many incidents were caught and how well, and the false alarms by severity."""
    table = Table(title="Evaluation", title_justify="left", caption=_caption(evaluation), caption_justify="left")
    table.add_column("Family", no_wrap=True)
    for heading in ("Runs", "Detected", "In time", "Severity", "Evidence", "One alert"):
        table.add_column(heading, justify="right")
    for heading in ("Seconds to alert", "Seconds to severity", "% of data out"):
        table.add_column(heading, justify="right")
    table.add_column("False alarms")
    for family in evaluation.families:
        table.add_row(*_row(family))
    return table


def _row(family: FamilyResult) -> tuple[str, ...]:
    alarms = ", ".join(f"{number(count)} {severity}" for severity, count in family.false_alarms.items())
    quiet = f"{alarms or 'none'} in {number(family.days)} d"
    if not family.incidents:
        return family.family, number(family.runs), *("-",) * 8, quiet
    counts = (family.detected, family.in_time, family.right_severity, family.right_detectors, family.told_once)
    return (
        family.family,
        number(family.runs),
        *(str(count) for count in counts),
        _spread(family.seconds),
        _spread(family.seconds_to_severity),
        _spread(family.share_out, 100.0),
        quiet,
    )


def _spread(spread: Spread | None, scale: float = 1.0) -> str:
    if spread is None:
        return "-"
    return " / ".join(f"{value * scale:,.0f}" for value in (spread.median, spread.p90, spread.most))


def _caption(evaluation: Evaluation) -> str:
    days = sum(family.days for family in evaluation.families)
    loud = sum(family.loud for family in evaluation.families)
    events = sum(outcome.events for outcome in evaluation.outcomes)
    return (
        f"{number(events)} events of {number(days)} days; {number(loud)} false alarms at SEV2 or worse. "
        "Spreads are median / 90th percentile / maximum; seconds from the first harm."
    )
