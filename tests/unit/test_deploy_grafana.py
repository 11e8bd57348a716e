"""The dashboards of deploy/grafana: what is stored is what the code makes, in its place, and says its unit."""

import re
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from deploy.grafana import __main__ as program
from deploy.grafana.layout import COLUMNS, Shelf
from deploy.grafana.pages import FOLDER, PAGES, text
from deploy.grafana.queries import STATEMENTS
from detector.metrics import Metrics
from detector.scored import VERDICTS
from tests.support.grafana import CLICKHOUSE, Range, pages, panels, questions, sql, utc

ROOT: Final = Path(__file__).parents[2]
RULES: Final = ROOT / "deploy/prometheus/rules"
METRIC: Final = re.compile(r"(?<![\w:])(detector_\w+|process_\w+|up)(?=[{\[\s)>]|$)")
RECORDED: Final = re.compile(r"\b\w+:\w+:\w+")
BYTES: Final = re.compile(r"bytes", re.IGNORECASE)


def test_what_is_stored_is_what_the_code_makes(tmp_path: Path) -> None:
    (tmp_path / "of-yesterday.json").write_text("{}")
    program.main(tmp_path)
    made = {path.name: path.read_bytes() for path in tmp_path.glob("*.json")}
    assert made == {path.name: path.read_bytes() for path in FOLDER.glob("*.json")}, "run: python -m deploy.grafana"
    assert [text(page).encode() for page in PAGES] == [made[f"{page.uid}.json"] for page in PAGES]


def test_no_panels_overlap_and_none_leaves_the_grid() -> None:
    for page in pages():
        for a, b in combinations((panel["gridPos"] for panel in page["panels"]), 2):
            apart = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
            assert apart or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"], (page["uid"], a, b)
        assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= COLUMNS for panel in page["panels"])
        lines = sorted({(panel["gridPos"]["y"], panel["gridPos"]["h"]) for panel in page["panels"]})
        assert all(y + height == below for (y, height), (below, _) in pairwise(lines)), "no gap, one height a shelf"


def test_a_shelf_that_is_not_full_is_an_error() -> None:
    with pytest.raises(ValueError, match="12 wide together, not 24"):
        Shelf(8, (12, PAGES[0].sections[0].shelves[0].panels[0][1]))


def test_every_panel_says_what_it_shows() -> None:
    for page in pages():
        titles = [panel["title"] for panel in panels(page)]
        assert len(titles) == len(set(titles)), page["uid"]
        for panel in page["panels"]:
            assert panel["id"] > 0
        assert len({panel["id"] for panel in page["panels"]}) == len(page["panels"])
        for panel in panels(page):
            assert panel["description"].endswith((".", ").")), panel["title"]
            letters = [target["refId"] for target in panel.get("targets", ())]
            assert letters == list("ABCDEFGH"[: len(letters)])


def test_units_are_set() -> None:
    for page in pages():
        for panel in panels(page):
            if panel["type"] == "text":
                continue
            if panel["type"] != "table":
                assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
                continue
            columns = set(re.findall(r'AS "([^"]+)"', panel["targets"][0]["rawSql"]))
            overridden = {
                override["matcher"]["options"]: [each["id"] for each in override["properties"]]
                for override in panel["fieldConfig"]["overrides"]
                if override["matcher"]["id"] == "byName"
            }
            assert set(overridden) <= columns, f"{panel['title']} dresses columns that it does not have"
            for column in filter(BYTES.search, columns):
                assert "unit" in overridden[column], column


def test_series_that_are_dressed_by_name_exist() -> None:
    for page in pages():
        for panel in panels(page):
            if panel["type"] != "timeseries":
                continue
            asked = "\n".join(target.get("rawSql") or target["legendFormat"] for target in panel["targets"])
            named = set(re.findall(r'AS (?:"([^"]+)"|(\w+))', asked)) | {(line, "") for line in asked.splitlines()}
            known = {quoted or plain for quoted, plain in named}
            for override in panel["fieldConfig"]["overrides"]:
                name = override["matcher"]["options"]
                assert name in known or ("{{verdict}}" in asked and name in VERDICTS), (panel["title"], name)


def test_a_panel_asks_one_data_source() -> None:
    for page in pages():
        for panel in panels(page):
            assert (panel["type"] == "text") == ("datasource" not in panel) == ("targets" not in panel), panel["title"]
            asked = {str(target["datasource"]) for target in panel.get("targets", ())}
            assert asked == ({str(panel["datasource"])} if asked else set())


def test_a_principals_name_can_not_break_out_of_a_statement() -> None:
    for path in STATEMENTS.glob("*.sql"):
        statement = path.read_text(encoding="utf-8")
        safe = statement.count("decodeURLComponent('${principal:percentencode}')")
        assert statement.count("principal}") + statement.count("${") == safe, path.name
    within = Range(utc("2026-03-06"), utc("2026-03-07"))
    said = sql("decodeURLComponent('${principal:percentencode}')", within, "x\\' OR 1=1 -- ")
    assert said == "decodeURLComponent('x%5C%27%20OR%201%3D1%20--%20')"


def test_statements_read_views_that_show_no_double() -> None:
    for question in questions(CLICKHOUSE):
        assert "_data" not in question.text, question.label
        assert question.kind == ("timeseries" if re.search(r"\bAS time\b", question.text) else "table"), question.label


def test_every_statement_is_asked() -> None:
    asked = {question.text for question in questions(CLICKHOUSE)}
    asked |= {v["query"]["rawSql"] for page in pages() for v in page["templating"]["list"] if v["type"] == "query"}
    for path in STATEMENTS.glob("*.sql"):
        statement = "\n".join(line for line in path.read_text("utf-8").splitlines() if not line.startswith("--"))
        assert statement in asked, path.name


def test_expressions_ask_for_metrics_that_exist() -> None:
    registered = list(Metrics().registry.collect())
    known = {name for family in registered for name in (family.name, f"{family.name}_total", f"{family.name}_bucket")}
    recorded = {
        rule["record"]
        for path in RULES.glob("*.yml")
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
        if "record" in rule
    }
    for question in questions("prometheus"):
        assert set(RECORDED.findall(question.text)) <= recorded, question.label
        metrics = set(METRIC.findall(RECORDED.sub("", question.text)))
        assert metrics <= known | {"up"}, (question.label, metrics - known)
        assert metrics or RECORDED.search(question.text) or question.text.startswith("vector("), question.label


def test_links_lead_to_dashboards_that_exist() -> None:
    uids = {page["uid"] for page in pages()}
    assert len(uids) == len(PAGES)
    linked = {page["uid"]: set(re.findall(r"/d/([\w-]+)", str(page))) for page in pages()}
    assert set().union(*linked.values()) == uids
    assert [uid for uid, to in linked.items() if "rogue-agents-runbook" not in to] == [], "each leads to the runbook"
    assert "rogue-agents-agent" in linked["rogue-agents-soc"]
    assert uids - {"rogue-agents-agent"} <= linked["rogue-agents-runbook"]
    (agent,) = (page for page in pages() if page["uid"] == "rogue-agents-agent")
    assert "principal" in {variable["name"] for variable in agent["templating"]["list"]}


def test_the_runbook_has_a_panel_for_each_alert_with_its_words() -> None:
    (page,) = (page for page in pages() if page["uid"] == "rogue-agents-runbook")
    told = {panel["title"]: panel["options"]["content"] for panel in panels(page)}
    alerts = [
        rule["alert"]
        for path in RULES.glob("*.yml")
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]
    assert sorted(told) == sorted(alerts)
    said = " ".join((ROOT / "deploy/prometheus/RUNBOOK.md").read_text(encoding="utf-8").split())
    for name, text_of in told.items():
        first = re.sub(r"\*\*(\w+)\*\*", lambda found: f"[{found[1]}](#{found[1].lower()})", text_of.split("\n\n")[0])
        assert f"## {name} {first} " in said
        assert "](#" not in text_of, f"{name}: sections are panels here, which no anchor leads to"
        assert not re.search(r"\](?!\()", text_of.replace("[15m]", "")), f"{name}: a link that leads nowhere"


def test_the_runbook_names_panels_that_exist_where_it_says() -> None:
    said = (ROOT / "deploy/prometheus/RUNBOOK.md").read_text(encoding="utf-8")
    uids = dict(re.findall(r"^\[([^\]]+)\]: http\S+/d/(\S+)$", said, re.MULTILINE))
    titles = {page["uid"]: {panel["title"] for panel in panels(page)} for page in pages()}
    sections = re.split(r"^## ", said, flags=re.MULTILINE)[1:]
    for section in sections:
        (looks,) = re.findall(r"^Look at (.+)\.$", section, re.MULTILINE)
        for look in looks.split("; "):
            board, panels_there = re.fullmatch(r"\[([^\]]+)\]: (.+)", look).groups()  # type: ignore[union-attr]
            named = re.findall(r"\*([^*]+)\*", panels_there)
            assert named
            assert set(named) <= titles[uids[board]], section.splitlines()[0]


def provisioning(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "deploy/grafana/provisioning" / name).read_text(encoding="utf-8"))
    return loaded


def test_what_is_provisioned_is_what_the_dashboards_choose_from() -> None:
    sources = {source["type"] for source in provisioning("datasources/detector.yml")["datasources"]}
    wanted = {v["query"] for page in pages() for v in page["templating"]["list"] if v["type"] == "datasource"}
    assert sources - {"alertmanager"} == wanted
    (provider,) = provisioning("dashboards/detector.yml")["providers"]
    assert provider["options"]["path"] == "/etc/grafana/dashboards"
