"""What a person sees on a terminal: tables of alerts, of configuration, of topics."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from detector.alerts import Alert
from detector.demo import Outcome
from detector.replay import Replayed
from detector.severity import Severity
from detector.topics import TopicReport
from detector.wording import duration, listing, number, plural, printable

COLOURS: Final[Mapping[Severity, str]] = {
    "SEV0": "bold white on red",
    "SEV1": "bold red",
    "SEV2": "yellow",
    "SEV3": "cyan",
    "SEV4": "dim",
}


def plain(text: str) -> Text:
    """Text from outside: no markup in it is obeyed, no control character reaches the terminal."""
    return Text(printable(text))


def failure(error: Exception) -> Text:
    """What went wrong, in its own lines."""
    return Text("\n".join(map(printable, f"detector: {error}".splitlines())), style="red")


def severity(name: Severity) -> Text:
    """A severity in its colour."""
    return Text(name, style=COLOURS[name])


def demo_table(outcomes: Iterable[Outcome]) -> Table:
    """For each scenario the alert that caught it: severity, who, what and why, how long after the first harm."""
    table = Table(title="What was caught", title_justify="left", show_lines=True, expand=True)
    table.add_column("Severity", width=8)
    table.add_column("Scenario and who", ratio=3, overflow="fold")
    table.add_column("What and why", ratio=7, overflow="fold")
    table.add_column("Alert after first harm", width=12, justify="right")
    table.add_column("False alarms", width=6, justify="right")
    for outcome in outcomes:
        expected, alert = outcome.scenario.expected, outcome.alert
        false_alarms = number(len(outcome.false_alarms))
        if alert is None:
            table.add_row("-", expected.scenario, Text("missed", style="bold red"), "-", false_alarms)
            continue
        table.add_row(
            severity(alert.severity),
            Group(Text(expected.scenario, style="bold"), plain(listing(alert.principals))),
            Group(Text(printable(alert.title), style="bold"), plain(alert.reason)),
            _after(expected.seconds_to(alert)),
            false_alarms,
        )
    return table


def _after(seconds: float) -> str:
    return duration(seconds) if seconds >= 0 else f"{duration(-seconds)} before it"


def story(alert: Alert) -> RenderableType:
    """An alert as the SOC reads it: what, why, the steps in order, what to do."""
    steps = Table.grid(padding=(0, 2))
    for link in alert.story:
        steps.add_row(
            f"{link.time:%H:%M:%S}", plain(link.principal), plain(link.what.removeprefix(f"{link.principal} "))
        )
    head = Text.assemble((alert.severity, COLOURS[alert.severity]), "  ", (printable(alert.title), "bold"))
    facts = Text(
        f"raised {alert.detected_at:%Y-%m-%d %H:%M:%S} UTC · risk {alert.risk:.2f} · "
        f"{number(alert.finding_count)} findings by {', '.join(alert.detectors)} · {alert.status}"
        + (f" ({printable(alert.resolution)})" if alert.resolution else ""),
        style="dim",
    )
    people = plain(f"Who: {listing(alert.principals, most=20)}")
    todo = plain(f"Do: {alert.runbook}")
    return Panel(Group(head, facts, Text(), steps, Text(), people, todo), title=alert.id, title_align="left")


def replay_summary(result: Replayed, seconds: float) -> Text:
    """What was read and what came of it, in a line; a second one if the clock looks wrong."""
    verdicts = ", ".join(f"{number(n)} {verdict}" for verdict, n in sorted(result.verdicts.items()))
    speed = f"{number(result.events / seconds)} events/s" if seconds > 0 else ""
    ahead = result.verdicts.get("future", 0)
    text = Text(
        f"{number(result.events)} events ({verdicts}), {number(result.rejects)} rejects, "
        f"{number(result.findings)} findings, {plural(len(result.alerts), 'alert')} in {duration(seconds)} ({speed})"
    )
    if ahead:
        text.append(
            f"\n{number(ahead)} events lie ahead of this machine's clock and were not scored: is it right?",
            style="yellow",
        )
    return text


def topics_table(reports: Iterable[TopicReport]) -> Table:
    """What became of each topic."""
    table = Table("Topic", "State", "Differs in")
    for report in reports:
        table.add_row(plain(report.name), report.state, plain("; ".join(report.differences)))
    return table


def expired(kind: str, name: str, owner: str | None, expires: datetime) -> Text:
    """That a mute or an override no longer holds, and whom to ask."""
    whose = f" ({owner})" if owner else ""
    since, does = f"{expires:%Y-%m-%d %H:%M %Z}", "silences" if kind == "mute" else "changes"
    text = f"{kind} {name}{whose} expired on {since} and {does} nothing newer: renew it or take it out"
    return Text(plain(text).plain, style="yellow")


PIPE_WIDTH: Final = 120


def stdout() -> Console:
    """The console for results."""
    return _console(stderr=False)


def stderr() -> Console:
    """The console for everything that is not the result itself."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    """A terminal decides its own width; into a file or a pipe lines are as long as they read well."""
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=PIPE_WIDTH)
