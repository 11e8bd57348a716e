"""Panels in the looks that all dashboards share: numbers, lines, bars and tables."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from grafana_foundation_sdk.builders import common, dashboard, stat, table, text, timeseries
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models.dashboard import (
    DashboardSpecialValueMapOptions,
    DynamicConfigValue,
    FieldColorModeId,
    SpecialValueMap,
    SpecialValueMatch,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)

from deploy.grafana.queries import Query

Panel = stat.Panel | timeseries.Panel | table.Panel | text.Panel

RED: Final = "dark-red"
ORANGE: Final = "orange"
YELLOW: Final = "yellow"
SEVERITY_COLOURS: Final = {"SEV0": "dark-purple", "SEV1": RED, "SEV2": ORANGE, "SEV3": YELLOW, "SEV4": "blue"}

Steps = Sequence[tuple[float | None, str]]
"""Colours by the value from which on they hold; None is the lowest."""

CALM: Final[Steps] = ((None, "text"),)


def number(title: str, query: Query, unit: str, about: str, *, steps: Steps = CALM, none: str = "0") -> stat.Panel:
    """One number, the newest; `none` is shown where there is none, or NaN, as a quantile of nothing is."""
    nothing = DashboardSpecialValueMapOptions(SpecialValueMatch.NULL_AND_NAN, ValueMappingResult(text=none))
    return (
        stat.Panel()
        .title(title)
        .description(about)
        .targets(_lettered([query]))
        .unit(unit)
        .no_value(none)
        .mappings([SpecialValueMap(nothing)])
        .thresholds(_thresholds(steps))
        .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS))
        .color_mode(looks.BigValueColorMode.VALUE)
        .graph_mode(looks.BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )


def lines(
    title: str,
    queries: Sequence[Query],
    unit: str,
    about: str,
    *,
    bars: bool = False,
    colours: Mapping[str, str] | None = None,
    dashed: Sequence[str] = (),
) -> timeseries.Panel:
    """Values over time: lines, or stacked bars for what is counted.

    Args:
        title: What it shows.
        queries: One or more.
        unit: Grafana's name of the unit.
        about: What to read in it, for the tooltip.
        bars: Stack bars.
        colours: Colours of series by name.
        dashed: Names of series that say what would be usual, or allowed: dashed lines, not bars, not stacked.
    """
    panel = (
        timeseries.Panel()
        .title(title)
        .description(about)
        .targets(_lettered(queries))
        .unit(unit)
        .min(0)
        .line_width(1)
        .fill_opacity(70 if bars else 8)
        .draw_style(looks.GraphDrawStyle.BARS if bars else looks.GraphDrawStyle.LINE)
        .show_points(looks.VisibilityMode.NEVER if bars else looks.VisibilityMode.AUTO)
        .legend(
            common.VizLegendOptions()
            .display_mode(looks.LegendDisplayMode.LIST)
            .placement(looks.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(looks.TooltipDisplayMode.MULTI).sort(looks.SortOrder.DESCENDING))
    )
    if bars:
        panel = panel.stacking(common.StackingConfig().mode(looks.StackingMode.NORMAL).group("A"))
    for name, colour in (colours or {}).items():
        panel = panel.override_by_name(name, [_property("color", {"mode": "fixed", "fixedColor": colour})])
    for name in dashed:
        panel = panel.override_by_name(
            name,
            [
                _property("custom.drawStyle", "line"),
                _property("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}),
                _property("custom.fillOpacity", 0),
                _property("custom.stacking", {"mode": "none", "group": "usual"}),
                _property("color", {"mode": "fixed", "fixedColor": "text"}),
            ],
        )
    return panel


def rows(
    title: str,
    query: Query,
    about: str,
    *,
    units: Mapping[str, str] | None = None,
    widths: Mapping[str, int] | None = None,
    links: Mapping[str, tuple[str, str]] | None = None,
) -> table.Panel:
    """A table. Cells that say a severity have its colour.

    Args:
        title: What it shows.
        query: Gives the rows.
        about: What to read in it, for the tooltip.
        units: Units of columns.
        widths: Widths of columns, in pixels.
        links: A title and an address that a column's cells lead to.
    """
    panel = (
        table.Panel()
        .title(title)
        .description(about)
        .targets(_lettered([query]))
        .cell_height(looks.TableCellHeight.SM)
        .filterable(True)
        .no_value("none")
        .mappings([_severities()])
        .override_by_regexp(
            "(?i)^(worst )?severity$|^worst$", [_property("custom.cellOptions", {"type": "color-text"})]
        )
    )
    for name, unit in (units or {}).items():
        panel = panel.override_by_name(name, [_property("unit", unit)])
    for name, width in (widths or {}).items():
        panel = panel.override_by_name(name, [_property("custom.width", width)])
    for name, (said, url) in (links or {}).items():
        panel = panel.override_by_name(name, [_property("links", [{"title": said, "url": url}])])
    return panel


def _lettered(queries: Sequence[Query]) -> list[Any]:
    for letter, query in zip("ABCDEFGH", queries, strict=False):
        query.ref_id(letter)
    return list(queries)


def _thresholds(steps: Steps) -> dashboard.ThresholdsConfig:
    wanted = [Threshold(value=value, color=colour) for value, colour in steps]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(wanted)


def _severities() -> ValueMapping:
    results = {
        name: ValueMappingResult(text=name, color=colour, index=number)
        for number, (name, colour) in enumerate(SEVERITY_COLOURS.items())
    }
    return ValueMap(options=results)


def _property(name: str, value: Any) -> DynamicConfigValue:
    return DynamicConfigValue(id_val=name, value=value)
