"""What a person sees of an evaluation: a row a family of scenarios, a channel, or a way to flag sessions."""

from collections.abc import Iterable

from rich.table import Table

from detector.calibration import LEVELS, Calibration
from detector.evaluation import Evaluation, FamilyResult, Spread
from detector.sessions import Caught, SessionResult
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
    events = sum(family.events for family in evaluation.families)
    unscored = sum(family.unscored for family in evaluation.families)
    failed = f" {number(unscored)} EVENTS WERE NOT SCORED." if unscored else ""
    return (
        f"{number(events)} events of {number(days)} days; {number(loud)} false alarms at SEV2 or worse.{failed} "
        "Spreads are median / 90th percentile / maximum; seconds from the first harm."
    )


def calibration_table(calibration: Iterable[Calibration]) -> Table:
    """For each channel the share of clean tests below each level, as the model and as past tests say."""
    table = Table(title="Calibration on clean events", title_justify="left", caption_justify="left",
                  caption="Share of tests with a p-value below each level: by the model / as measured.")  # fmt: skip
    table.add_column("Channel", no_wrap=True)
    for heading in ("Tests", *(f"p < {level:g}" for level in LEVELS)):
        table.add_column(heading, justify="right")
    for channel in calibration:
        levels = (f"{level.by_model:.1e} / {_shown(level.as_measured)}" for level in channel.levels)
        table.add_row(channel.channel, number(channel.tests), *levels)
    return table


def _shown(share: float | None) -> str:
    return "-" if share is None else f"{share:.1e}"


def sessions_table(result: SessionResult) -> Table:
    """For each way to flag sessions what it catches, what it flags wrongly, and how early."""
    area = "-" if result.area is None else f"{result.area:.3f}"
    tried = f"{number(result.injected)} of them injected in vain"
    caption = (
        f"{number(result.compromised)} sessions were compromised, {number(result.benign)} were not ({tried}); "
        f"area under the ROC {area}. {number(result.events)} events, {number(result.unscored)} not scored; "
        f"{number(result.unseen)} labelled sessions without events, {number(result.unlabelled)} without a label. "
        "Leads are events of the session from the first flag to the attack, mean / median."
    )
    table = Table(title="Sessions", title_justify="left", caption=caption, caption_justify="left")
    table.add_column("Flagged by", no_wrap=True)
    for heading in ("From", "Compromised", "Benign", "Injected", "Precision", "Before the attack", "Lead"):
        table.add_column(heading, justify="right")
    for caught in (result.alerts, *result.by_severity, *result.at_share):
        table.add_row(*_caught_row(caught))
    return table


def _caught_row(caught: Caught) -> tuple[str, ...]:
    start = "-" if caught.severity is None else f"{caught.severity} {caught.score:.3g}"
    lead = "-" if caught.mean_lead is None else f"{caught.mean_lead:+.1f} / {caught.median_lead:+.1f}"
    return (
        caught.rule,
        start,
        f"{caught.compromised} ({_percent(caught.recall)})",
        f"{caught.benign} ({_percent(caught.benign_share)})",
        str(caught.injected),
        _percent(caught.precision),
        f"{caught.in_time} of {caught.timed}",
        lead,
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
