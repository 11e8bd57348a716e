"""A dashboard out of sections: every panel gets its place on Grafana's grid, 24 columns wide."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    GridPos,
    VariableRefresh,
    VariableSort,
)

from deploy.grafana.panels import Panel
from deploy.grafana.queries import CLICKHOUSE, PLUGIN

COLUMNS: Final = 24
TAG: Final = "rogue-agent-detector"
RUNBOOK: Final = "rogue-agents-runbook"


class Shelf:
    """Panels beside each other, all of one height, each with its width.

    Raises:
        ValueError: They are not as wide together as the grid.
    """

    def __init__(self, height: int, *panels: tuple[int, Panel]) -> None:
        self.height = height
        self.panels = panels
        wide = sum(width for width, _ in panels)
        if wide != COLUMNS:
            raise ValueError(f"the panels of a shelf are {wide} wide together, not {COLUMNS}")


class Section:
    """A heading, and the shelves under it."""

    def __init__(self, title: str, *shelves: Shelf) -> None:
        self.title = title
        self.shelves = shelves


class Page(NamedTuple):
    """A dashboard: `uid` is in its address, `span` the time that it opens with."""

    uid: str
    title: str
    about: str
    span: str
    sections: Sequence[Section]
    variables: Sequence[dashboard.QueryVariable] = ()


def build(page: Page) -> Dashboard:
    """The dashboard, every panel in its place."""
    board = (
        dashboard.Dashboard(page.title)
        .uid(page.uid)
        .description(page.about)
        .tags([TAG])
        .timezone("browser")
        .time(page.span, "now")
        .refresh("30s")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .readonly()
        .link(_others())
        .link(_runbook())
    )
    asking = any(_of(panel) for section in page.sections for shelf in section.shelves for _, panel in shelf.panels)
    for variable in (*(_sources() if asking else ()), *page.variables):
        board = board.with_variable(variable)
    y, number = 0, 1
    for section in page.sections:
        board = board.with_row(dashboard.Row(section.title).id(number).grid_pos(GridPos(h=1, w=COLUMNS, x=0, y=y)))
        y, number = y + 1, number + 1
        for shelf in section.shelves:
            x = 0
            for width, panel in shelf.panels:
                place = GridPos(h=shelf.height, w=width, x=x, y=y)
                if (source := _of(panel)) is not None:
                    panel.datasource(source)
                board = board.with_panel(panel.id(number).grid_pos(place))
                x, number = x + width, number + 1
            y += shelf.height
    return board.build()


def choice(name: str, label: str, about: str, sql: str) -> dashboard.QueryVariable:
    """A choice among what a statement gives, asked for anew whenever the time range changes."""
    query = {"rawSql": sql, "editorType": "sql", "queryType": "table", "format": 1, "refId": name}
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .description(about)
        .datasource(CLICKHOUSE)
        .query(dict[str, object](query))
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.DISABLED)
    )


def _of(panel: Panel) -> DataSourceRef | None:
    """The data source that a panel asks; None if it asks nothing."""
    targets: list[Any] = panel.build().targets or []
    return targets[0].to_json()["datasource"] if targets else None


def _sources() -> list[dashboard.DatasourceVariable]:
    """The data sources are chosen above each dashboard, so that they may be called what they like."""
    known = (("prometheus", "Prometheus", "prometheus"), ("clickhouse", "Event store", PLUGIN))
    return [dashboard.DatasourceVariable(name).label(label).type(kind) for name, label, kind in known]


def _others() -> dashboard.DashboardLink:
    return (
        dashboard.DashboardLink("Rogue agents")
        .type(DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(True)
        .keep_time(True)
        .icon("external link")
    )


def _runbook() -> dashboard.DashboardLink:
    return (
        dashboard.DashboardLink("Runbook")
        .type(DashboardLinkType.LINK)
        .url(f"/d/{RUNBOOK}")
        .tooltip("What to do about each alert of Prometheus'")
        .icon("doc")
    )
