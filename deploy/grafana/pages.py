"""All the dashboards, and the text that each is stored as."""

import json
from pathlib import Path
from typing import Any, Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana import agent, detection_quality, pipeline_health, runbook, soc_overview
from deploy.grafana.layout import Page, build

FOLDER: Final = Path(__file__).parent / "dashboards"
PAGES: Final[tuple[Page, ...]] = (
    soc_overview.PAGE,
    agent.PAGE,
    pipeline_health.PAGE,
    detection_quality.PAGE,
    runbook.PAGE,
)


def text(page: Page) -> str:
    """The JSON that Grafana reads: the same for the same page, byte for byte."""
    plain: dict[str, Any] = json.loads(JSONEncoder().encode(build(page)))
    for variable in plain["templating"].setdefault("list", []):
        # Of interval variables alone; Grafana's own types know them nowhere else.
        for name in [key for key in variable if key.startswith("auto")]:
            del variable[name]
    for panel in plain["panels"]:
        # The default of Grafana 11; those after it know the field no more.
        panel.get("options", {}).pop("footer", None)
    return json.dumps(plain, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
