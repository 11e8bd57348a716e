"""What panels ask: Prometheus, and the event store through Grafana's ClickHouse plugin."""

from pathlib import Path
from typing import Any, Final, Self

from grafana_foundation_sdk.builders import prometheus as prometheus_builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import prometheus as prometheus_models
from grafana_foundation_sdk.models.dashboard import DataSourceRef

PLUGIN: Final = "grafana-clickhouse-datasource"
PROMETHEUS: Final = DataSourceRef(type_val="prometheus", uid="${prometheus}")
CLICKHOUSE: Final = DataSourceRef(type_val=PLUGIN, uid="${clickhouse}")

# The oldest plugin whose queries look like these.
PLUGIN_VERSION: Final = "4.8.0"

STATEMENTS: Final = Path(__file__).parent / "sql"


def ask(expression: str, legend: str = "", *, instant: bool = False) -> prometheus_builders.Dataquery:
    """A PromQL query.

    Args:
        expression: The expression; `$__rate_interval` and `$__range` are Grafana's.
        legend: How a series is called; its labels are named like `{{topic}}`.
        instant: Ask for the newest value alone.
    """
    query = prometheus_builders.Dataquery().expr(" ".join(expression.split())).datasource(PROMETHEUS)
    query = query.editor_mode(prometheus_models.QueryEditorMode.CODE)
    query = query.instant() if instant else query.range()
    return query.legend_format(legend) if legend else query


def p95(
    histogram: str, label: str = "", *, share: float = 0.95, span: str = "$__rate_interval", legend: str = ""
) -> prometheus_builders.Dataquery:
    """What 95 % of the observations of a histogram stay below, by a label if one is given.

    Args:
        histogram: Its name, without `_bucket`.
        label: The label to tell apart by; it names the series.
        share: Another share than 95 %.
        span: The time over which each point looks back.
        legend: How the series is called, where no label names it.
    """
    by = f"le, {label}" if label else "le"
    expression = f"histogram_quantile({share}, sum by ({by}) (rate({histogram}_bucket[{span}])))"
    return ask(expression, f"{{{{{label}}}}}" if label else legend)


def statement(name: str) -> str:
    """The text of a statement of `sql/`, without the comments above it."""
    lines = (STATEMENTS / f"{name}.sql").read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.startswith("--"))


class _Statement(Dataquery):
    """A query as the plugin keeps it."""

    def __init__(self, sql: str, *, over_time: bool) -> None:
        self.sql = sql
        self.over_time = over_time
        self.ref_id = ""

    def to_json(self) -> dict[str, Any]:
        """What stands in the dashboard's JSON."""
        return {
            "datasource": CLICKHOUSE,
            "editorType": "sql",
            "format": 0 if self.over_time else 1,
            "pluginVersion": PLUGIN_VERSION,
            "queryType": "timeseries" if self.over_time else "table",
            "rawSql": self.sql,
            "refId": self.ref_id,
        }


class Sql(Builder[Dataquery]):
    """A statement of `sql/`, with the macros of the ClickHouse plugin.

    A principal's name comes out of the logs that are watched, or out of a link: who chose it may mean harm. So it
    stands in statements as `decodeURLComponent('${principal:percentencode}')`, where nothing in it can end the string;
    to double its quotes would not do, as ClickHouse takes a backslash for an escape.

    Args:
        name: The file's name, without its ending.
        over_time: Whether rows are points in time, in a column `time`; else they are a table's.
    """

    def __init__(self, name: str, *, over_time: bool = False) -> None:
        self._statement = _Statement(statement(name), over_time=over_time)

    def ref_id(self, ref_id: str) -> Self:
        """Its letter in the panel."""
        self._statement.ref_id = ref_id
        return self

    def build(self) -> Dataquery:
        """The query."""
        return self._statement


Query = prometheus_builders.Dataquery | Sql
