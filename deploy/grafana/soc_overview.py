"""SOC overview: what is open, who is behind it, how fast it was told."""

from typing import Final

from deploy.grafana.layout import Page, Section, Shelf
from deploy.grafana.panels import ORANGE, RED, SEVERITY_COLOURS, lines, number, rows
from deploy.grafana.queries import Sql, ask, p95

TO_AGENT: Final = (
    "What it did",
    "/d/rogue-agents-agent?var-principal=${__value.raw:percentencode}&${__url_time_range}",
)

LATENCY: Final = "detector_alert_latency_seconds"

URGENT: Final = number(
    "SEV0 and SEV1 open",
    ask('sum(detector_open_incidents{severity=~"SEV0|SEV1"})', instant=True),
    "short",
    "Incidents that somebody should be at work on now.",
    steps=((None, "green"), (1, RED)),
)

TODAY: Final = number(
    "SEV2 and SEV3 open",
    ask('sum(detector_open_incidents{severity=~"SEV2|SEV3"})', instant=True),
    "short",
    "Incidents to look at today.",
    steps=((None, "green"), (1, ORANGE)),
)

WINDOWS: Final = number(
    "Exposures open",
    ask("sum(detector_open_exposures)", instant=True),
    "short",
    "Sensitive data that a change opened to more people than before, and that nobody has closed yet.",
    steps=((None, "green"), (1, RED)),
)

OLDEST: Final = number(
    "Oldest open for",
    ask("time() - min(detector_exposure_oldest_timestamp_seconds > 0)", instant=True),
    "s",
    "How long the oldest of these windows has stood open.",
    steps=((None, "green"), (300, ORANGE), (1800, RED)),
    none="none open",
)

TIME_TO_ALERT: Final = number(
    "Time to alert, 95 %",
    ask(f"histogram_quantile(0.95, sum by (le) (increase({LATENCY}_bucket[$__range])))", instant=True),
    "s",
    "From an event to the alert that it raised, over the time range. The objective is 30 s for 99 % of them.",
    steps=((None, "green"), (30, ORANGE), (120, RED)),
    none="no alerts",
)

AT_WORK: Final = number(
    "Detectors at work",
    ask("sum(detector_ready)", instant=True),
    "short",
    "Processes whose /readyz says that they are at work. With none, nobody watches the agents.",
    steps=((None, RED), (1, "green")),
    none="none",
)

INCIDENTS: Final = rows(
    "Open incidents",
    Sql("soc_incidents"),
    "The gravest first, whatever the time range. `detector audit incident ALERT` writes what to file.",
    units={"Risk": "percentunit"},
    widths={"Severity": 90, "Risk": 80, "Findings": 90, "Raised": 170, "Latest": 170},
)

RISKIEST: Final = rows(
    "Riskiest principals",
    Sql("soc_riskiest"),
    "By what was found of each in the time range: the probability that at least one detector is right, with the "
    "weights of incidents' risk. A click leads to what it did.",
    units={"Risk": "percentunit"},
    widths={"Kind": 80, "Worst": 80, "Risk": 80, "Findings": 90, "Latest": 170},
    links={"Principal": TO_AGENT},
)

EXPOSURES: Final = rows(
    "Exposure windows",
    Sql("soc_exposures"),
    "Those that stand open, whatever the time range, the oldest first. `detector audit exposure --open` says who read "
    "what meanwhile.",
    widths={"Sensitivity": 110, "Opened": 170, "New readers": 110, "Overdue": 90},
    links={"By": TO_AGENT},
)

RAISED: Final = lines(
    "Alerts raised",
    [Sql("soc_raised", over_time=True)],
    "short",
    "Each alert once, at the event that raised it, by the severity it has now.",
    bars=True,
    colours=SEVERITY_COLOURS,
)

FOUND: Final = lines(
    "Findings by detector",
    [ask("sum by (detector) (rate(detector_findings_total[$__rate_interval])) * 60", "{{detector}}")],
    "cpm",
    "What detectors see, told or not. One that rises alone may have met a change of normal.",
    bars=True,
)

HOW_FAST: Final = lines(
    "Time to alert",
    [
        p95(LATENCY, share=0.5, span="1h", legend="half"),
        p95(LATENCY, span="1h", legend="95 %"),
        ask("vector(30)", "objective for 99 %"),
    ],
    "s",
    "From an event to the alert that it raised, over an hour each.",
    dashed=("objective for 99 %",),
)

PAGE: Final = Page(
    uid="rogue-agents-soc",
    title="Rogue agents: SOC overview",
    about="What is open, who is behind it, and how fast it was told.",
    span="now-24h",
    sections=(
        Section(
            "Now",
            Shelf(4, (4, URGENT), (4, TODAY), (4, WINDOWS), (4, OLDEST), (4, TIME_TO_ALERT), (4, AT_WORK)),
            Shelf(9, (24, INCIDENTS)),
        ),
        Section("Who and what", Shelf(9, (14, RISKIEST), (10, EXPOSURES))),
        Section("Over time", Shelf(8, (8, RAISED), (8, FOUND), (8, HOW_FAST))),
    ),
)
