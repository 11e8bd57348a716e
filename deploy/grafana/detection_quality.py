"""Detection quality: how many alerts there are against how many were asked for, who makes them, what is not judged."""

from typing import Final

from deploy.grafana.layout import Page, Section, Shelf
from deploy.grafana.panels import ORANGE, SEVERITY_COLOURS, YELLOW, lines, number, rows
from deploy.grafana.queries import Sql, ask

BUDGET: Final = number(
    "Budget",
    Sql("quality_budget"),
    "short",
    "False alerts a day that all statistical detectors together may raise (`budget.alerts_per_day` of the newest "
    "configuration).",
    none="no configuration is stored",
)

ACTUAL: Final = number(
    "Actual, true ones among them",
    Sql("quality_actual"),
    "short",
    "Alerts a day with nothing but statistics behind them. Those that were right count too, so more than the budget is "
    "not yet too much.",
)

UNJUDGED: Final = number(
    "Not judged",
    ask("job:detector_events_unscored:ratio15m", instant=True),
    "percentunit",
    "Share of the last 15 minutes' events that came too late, from the future, or failed.",
    steps=((None, "green"), (0.01, YELLOW), (0.05, ORANGE)),
    none="no events",
)

SILENCED: Final = number(
    "Silenced",
    ask(
        "sum(increase(detector_findings_suppressed_total[6h])) / sum(increase(detector_findings_total[6h]))",
        instant=True,
    ),
    "percentunit",
    "Share of the last 6 h' findings that a mute or an approved place kept from an alert.",
    steps=((None, "green"), (0.5, YELLOW), (0.9, ORANGE)),
    none="no findings",
)

BY_DAY: Final = lines(
    "Alerts a day, by what is behind them",
    [Sql("quality_by_day", over_time=True), Sql("quality_budget_line", over_time=True)],
    "short",
    "The budget is for what statistics alone raise; deterministic rules are outside of it.",
    bars=True,
    dashed=("budget",),
)

BY_SEVERITY: Final = lines(
    "Alerts a day, by severity",
    [Sql("quality_by_severity", over_time=True)],
    "short",
    "Each alert once, by the severity it has now.",
    bars=True,
    colours=SEVERITY_COLOURS,
)

BY_RULE: Final = rows(
    "Findings by rule",
    Sql("quality_by_rule"),
    "A rule with many findings, few of them in an alert, is noise; one that is always suppressed has a mute to be "
    "looked at.",
    units={"In an alert": "percentunit", "Suppressed": "percentunit", "Least probable": "sci"},
    widths={"Findings": 90, "Principals": 100, "SEV2 and worse": 130, "Latest": 170},
)

BY_ROLE: Final = rows(
    "Findings by role",
    Sql("quality_by_role"),
    "A role that stands out may need a charter, a label or an approved destination.",
    widths={"Principals": 100, "Findings": 90, "SEV3 and worse": 130},
)

JUDGED: Final = rows(
    "Verdicts by detector",
    Sql("quality_judged"),
    "Of the alerts that people judged in the time range, and that a detector had a part in: how many were right.",
    units={"Precision": "percentunit"},
    widths={"Judged": 90, "Confirmed": 100, "Benign": 90, "False alarms": 110, "Precision": 100},
)

PRECISION: Final = lines(
    "Precision by week",
    [Sql("quality_precision", over_time=True)],
    "percentunit",
    "Share of the alerts judged in a week that were confirmed, by detector.",
)

VERDICTS: Final = rows(
    "Latest verdicts",
    Sql("quality_verdicts"),
    "What people said of alerts, with `detector feedback`. The last that counts is in force.",
    widths={"Time": 170, "Severity": 90, "Verdict": 90},
)

DELAY: Final = rows(
    "From the first sign to the alert",
    Sql("quality_delay"),
    "In event time: how long evidence added up before an alert was raised.",
    units={"Half within": "s", "90 % within": "s"},
    widths={"Severity": 90},
)

CONFIGURATIONS: Final = rows(
    "Configurations",
    Sql("quality_configurations"),
    "The newest first. Findings and alerts carry the one that they were made under.",
    widths={"Since": 170},
)

SUPPRESSED: Final = lines(
    "What silences findings",
    [ask("sum by (reason) (rate(detector_findings_suppressed_total[$__rate_interval])) * 60", "{{reason}}")],
    "cpm",
    "Findings that are kept and not told, by what silences them.",
    bars=True,
)

IMPROBABLE: Final = lines(
    "Improbable hours, by channel",
    [ask("job_channel:detector_tests_improbable:ratio1d", "{{channel}}"), ask("vector(0.01)", "one in a hundred")],
    "percentunit",
    "Share of a day's hours of principals that fitted their baselines so badly as one in a hundred should. What rises "
    "and stays is a change of normal.",
    dashed=("one in a hundred",),
)

TESTS: Final = lines(
    "Tests, by channel",
    [ask("sum by (channel) (increase(detector_tests_total[1h]))", "{{channel}}")],
    "short",
    "Hours of principals that were held against a baseline, within an hour. The budget is shared among so many.",
)

WEEK: Final = lines(
    "Seven days' alerts of statistics",
    [
        ask("job:detector_alerts_statistical:increase7d", "alerts"),
        ask("7 * max(detector_budget_alerts_per_day)", "budget"),
        ask(
            "7 * max(detector_budget_alerts_per_day) + 3 * sqrt(7 * max(detector_budget_alerts_per_day))",
            "more than chance",
        ),
    ],
    "short",
    "Alerts with nothing but statistics behind them when they were raised, true ones among them. Above the upper line "
    "RogueAgentBudgetExceeded fires.",
    dashed=("budget", "more than chance"),
)

PAGE: Final = Page(
    uid="rogue-agents-quality",
    title="Rogue agents: detection quality",
    about="How many alerts there are against how many were asked for, who makes them, and what is not judged at all.",
    span="now-30d",
    sections=(
        Section(
            "Budget against actual",
            Shelf(4, (6, BUDGET), (6, ACTUAL), (6, UNJUDGED), (6, SILENCED)),
            Shelf(9, (12, BY_DAY), (12, BY_SEVERITY)),
        ),
        Section("Baselines", Shelf(8, (8, WEEK), (8, IMPROBABLE), (8, TESTS))),
        Section("Verdicts", Shelf(9, (7, JUDGED), (7, PRECISION), (10, VERDICTS))),
        Section("Who makes them", Shelf(11, (15, BY_RULE), (9, BY_ROLE))),
        Section("How fast, and under which configuration", Shelf(8, (8, DELAY), (8, CONFIGURATIONS), (8, SUPPRESSED))),
    ),
)
