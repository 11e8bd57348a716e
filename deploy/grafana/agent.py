"""Agent: what one principal did, what would be usual, where its data went, who gave it what."""

from typing import Final

from deploy.grafana.layout import Page, Section, Shelf, choice
from deploy.grafana.panels import ORANGE, RED, YELLOW, lines, number, rows
from deploy.grafana.queries import Sql, statement

ZONES: Final = {
    "internal": "green",
    "approved": "blue",
    "external": ORANGE,
    "public": RED,
    "unknown": YELLOW,
}

ROLE: Final = rows("Judged as", Sql("agent_role"), "Its peer group, and for how long the store has known it.")

WORST: Final = number(
    "Grave findings",
    Sql("agent_worst"),
    "short",
    "Of SEV2 and worse, in the time range.",
    steps=((None, "green"), (1, RED)),
)

EVENTS: Final = number("Acts", Sql("agent_events"), "short", "In the time range.")

OUTSIDE: Final = number(
    "Left for outside",
    Sql("agent_outside"),
    "bytes",
    "To places that are neither the house's own nor approved, in the time range.",
)

DENIED: Final = number(
    "Denied",
    Sql("agent_denied"),
    "short",
    "What it tried and was not allowed, in the time range.",
    steps=((None, "text"), (5, YELLOW)),
)

LEAVING: Final = lines(
    "What left, by zone",
    [Sql(f"agent_{name}", over_time=True) for name in ("leaving", "usual", "peers")],
    "bytes",
    "Bars beside what is usual: the 95th percentile of intervals of this length in which anything left, in the two "
    "weeks before the time range.",
    bars=True,
    colours=ZONES,
    dashed=("usual for it", "usual for its role"),
)

RECORDS: Final = lines(
    "Records and sensitive data",
    [Sql("agent_records", over_time=True)],
    "short",
    "Records read, written or removed, and acts on confidential or restricted things.",
)

FOUND: Final = rows(
    "Findings",
    Sql("agent_findings"),
    "The latest first. `detector audit why ALERT` has the numbers behind them.",
    units={"Probability": "sci"},
    widths={"Time": 170, "Severity": 90, "Detector": 150, "Probability": 110},
)

ACTS: Final = lines("Acts by kind", [Sql("agent_acts", over_time=True)], "short", "How many of which kind.", bars=True)

ENDPOINTS: Final = rows(
    "Endpoints",
    Sql("agent_endpoints"),
    "Where data went in the time range, what is new first: never before, as far as the store goes back.",
    units={"Bytes out": "bytes", "Records": "short"},
    widths={"Zone": 90, "New": 70, "First seen": 170, "Acts": 80, "Records": 90},
)

PERMISSIONS: Final = rows(
    "Permissions",
    Sql("agent_permissions"),
    "What it changed, and what was changed for it, the latest first.",
    widths={"Time": 170, "Change": 90, "Audience": 90, "Privilege": 90, "Ends": 170},
)

TIMELINE: Final = rows(
    "Acts, findings and alerts",
    Sql("agent_timeline"),
    "The latest 500 of the time range. `detector audit timeline --principal` has them all.",
    widths={"Time": 170, "What": 190, "Severity": 90},
)

PAGE: Final = Page(
    uid="rogue-agents-agent",
    title="Rogue agents: agent",
    about="One principal, an agent, a person or a service: what it did, what would be usual, where its data went.",
    span="now-24h",
    variables=(
        choice(
            "principal",
            "Principal",
            "Those that did anything in the time range; those with the most findings first.",
            statement("agent_choice"),
        ),
    ),
    sections=(
        Section("$principal", Shelf(4, (8, ROLE), (4, WORST), (4, EVENTS), (4, OUTSIDE), (4, DENIED))),
        Section("Transfer against baseline", Shelf(9, (14, LEAVING), (10, RECORDS))),
        Section("Findings and acts", Shelf(9, (16, FOUND), (8, ACTS))),
        Section("Endpoints and permissions", Shelf(9, (11, ENDPOINTS), (13, PERMISSIONS))),
        Section("Timeline", Shelf(14, (24, TIMELINE))),
    ),
)
