"""The dashboards of deploy/grafana as Grafana would ask for them: variables and macros put in as it does it."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import msgspec

FOLDER: Final = Path(__file__).parents[2] / "deploy/grafana/dashboards"
CLICKHOUSE: Final = "grafana-clickhouse-datasource"

_CALL: Final = re.compile(r"\$__(timeFilter|timeInterval)\((\w+)\)")


class Question(NamedTuple):
    """One query of one panel."""

    page: str
    panel: str
    letter: str
    kind: str
    text: str

    @property
    def label(self) -> str:
        """For a test's name."""
        return f"{self.page}: {self.panel} {self.letter}"


class Range(NamedTuple):
    """The time range above a dashboard."""

    begin: datetime
    end: datetime
    step: int = 300


def pages() -> list[dict[str, Any]]:
    """The stored dashboards."""
    return [msgspec.json.decode(path.read_bytes()) for path in sorted(FOLDER.glob("*.json"))]


def panels(page: dict[str, Any]) -> list[dict[str, Any]]:
    """The panels of a dashboard, without its headings."""
    return [panel for panel in page["panels"] if panel["type"] != "row"]


def questions(source: str) -> list[Question]:
    """All that panels ask of a kind of data source, `prometheus` or the ClickHouse plugin."""
    return list(_questions(source))


def _questions(source: str) -> Iterator[Question]:
    for page in pages():
        for panel in panels(page):
            for target in panel.get("targets", ()):
                if target["datasource"]["type"] == source:
                    text = target["expr"] if source == "prometheus" else target["rawSql"]
                    yield Question(page["uid"], panel["title"], target["refId"], target.get("queryType", ""), text)


def sql(text: str, within: Range, principal: str = "") -> str:
    """A statement as the plugin sends it: its macros, and Grafana's `percentencode`."""
    begin, end = (f"toDateTime({int(moment.timestamp())})" for moment in within[:2])

    def called(match: re.Match[str]) -> str:
        if match[1] == "timeFilter":
            return f"{match[2]} >= {begin} AND {match[2]} <= {end}"
        return f"toStartOfInterval(toDateTime({match[2]}), INTERVAL {within.step} second)"

    text = text.replace("${principal:percentencode}", quote(principal, safe="-_."))
    text = _CALL.sub(called, text).replace("$__fromTime", begin).replace("$__toTime", end)
    text = text.replace("$__interval_s", str(within.step))
    assert "$" not in text, f"what is not put in would reach the engine: {text}"
    return text


def promql(text: str, *, rate: str = "15s", span: str = "1h") -> str:
    """An expression as Grafana sends it."""
    text = text.replace("$__rate_interval", rate).replace("$__range", span)
    assert "$" not in text, text
    return text


def utc(text: str) -> datetime:
    """A moment of the samples."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
