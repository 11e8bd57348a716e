"""Every statement of the dashboards on the real engine, over the sample incidents."""

import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from detector import demo
from detector.auditing import LinkedStore
from detector.config import Config
from detector.records import OperatorAction
from detector.scenario import scenarios
from detector.sources.files import FileSource
from detector.store.client import Store, connect
from detector.store.migrate import migrate
from tests.support.audited import READ_AT, SAMPLES, sample
from tests.support.grafana import CLICKHOUSE, Question, Range, pages, questions, sql, utc

pytestmark = pytest.mark.chdb

ALL: Final = Range(utc("2026-03-01T00:00:00"), utc("2026-05-12T00:00:00"), 3600)
LEAK: Final = Range(utc("2026-03-06T12:00:00"), utc("2026-03-06T16:00:00"))
LEAKER: Final = "content-moderation-agent-02"
ESCALATED: Final = Range(utc("2026-03-17T12:00:00"), utc("2026-03-17T17:00:00"))
ACCESS_DENIED: Final = 497
STANDS_OPEN: Final = '"2026-04-13T10:40'
"""The story of the advice is told up to here: sensitive data stands open, and nobody has closed it yet."""


@pytest.fixture(scope="module")
def watched(embedded_path: Path) -> Iterator[Store]:
    """A store with three incidents that are over and one that goes on."""
    with connect(f"chdb://{embedded_path}?database=watched_{uuid.uuid4().hex[:8]}") as store:
        migrate(store)
        config = Config()
        sink = LinkedStore(config).sink(store)
        for scenario in scenarios(SAMPLES):
            name = scenario.expected.scenario
            records = list(FileSource(scenario.events, lambda: READ_AT, topic=f"demo:{name}"))
            if name == "advice_exposure":
                until = STANDS_OPEN.encode()
                records = [record for record in records if record.value[record.value.index(b'"2026') :] < until]
            demo.play(scenario, records, [sink], config, lambda: None)
        sink.write_operator_actions(verdicts(store))
        yield store
        store.client.command(f"DROP DATABASE {store.database}", use_database=False)


def verdicts(store: Store) -> list[OperatorAction]:
    """What an analyst said of two alerts, in the words of `detector feedback`: one was right, one was not."""
    alerts = store.client.query(
        "SELECT id, severity, detectors FROM alerts_current ORDER BY opened_at LIMIT 2"
    ).result_rows
    said = zip(alerts, ("true", "false"), strict=True)
    return [
        OperatorAction(
            id=f"v-{verdict}",
            time=ALL.begin + timedelta(days=60),
            operator="ann@soc.example",
            action="verdict",
            subject=f"alert:{alert}",
            reason="looked at it",
            details={"verdict": verdict, "severity": severity, "detectors": detectors, "closed": True, "refused": ""},
        )
        for (alert, severity, detectors), verdict in said
    ]


def ask(store: Store, text: str, within: Range, principal: str = "") -> list[dict[str, Any]]:
    """The rows of a statement, by column."""
    answer = store.client.query(sql(text, within, principal))
    return [dict(zip(answer.column_names, row, strict=True)) for row in answer.result_rows]


def question(panel: str, number: int = 0) -> str:
    """What a panel asks, by its title."""
    return [each.text for each in questions(CLICKHOUSE) if each.panel == panel][number]


def empty(row: dict[str, Any]) -> bool:
    """Whether a panel would have nothing to draw: no number, or one that is none."""
    return all(value is None or value != value for name, value in row.items() if name != "time")  # noqa: PLR0124


@pytest.mark.parametrize("asked", questions(CLICKHOUSE), ids=lambda asked: asked.label)
def test_every_panel_has_something_to_show(watched: Store, asked: Question) -> None:
    about = asked.page == "rogue-agents-agent"
    # Permissions came to another agent than data left by.
    escalated = asked.panel in {"Permissions", "Denied"}
    who, within = ("knowledge-base-agent-02", ESCALATED) if escalated else (LEAKER, LEAK)
    rows = ask(watched, asked.text, within if about else ALL, who if about else "")
    assert rows, asked.text
    assert not all(empty(row) for row in rows), rows
    if asked.kind == "timeseries":
        assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
        assert all(len(row) > 1 for row in rows)


def test_the_open_incident_is_on_the_first_page_and_no_other(watched: Store) -> None:
    rows = ask(watched, question("Open incidents"), ALL)
    assert [row["Severity"] for row in rows if row["Severity"] <= "SEV2"] == ["SEV1"]
    assert "permission_change" in rows[0]["Found by"]
    (window,) = ask(watched, question("Exposure windows"), ALL)
    assert rows[0]["Alert"] == window["Incident"]
    assert window["Opened"].isoformat().startswith("2026-04-13T10:31:21")


def test_the_riskiest_are_those_of_whom_the_stories_tell(watched: Store) -> None:
    rows = ask(watched, question("Riskiest principals"), ALL)
    risks = [row["Risk"] for row in rows]
    assert risks == sorted(risks, reverse=True)
    assert all(0 < risk <= 1 for risk in risks)
    assert {"content-moderation-agent-02", "mail-assistant-agent-02"} <= {row["Principal"] for row in rows[:6]}


def test_what_left_is_what_the_log_says_to_the_byte(watched: Store) -> None:
    of_the_log = [
        event
        for event in sample("moderation_exfil")
        if event["actor"]["id"] == LEAKER and LEAK.begin <= event["time"] <= LEAK.end and event["kind"] != "control"
    ]
    outside = sum(e["bytes_out"] for e in of_the_log if e.get("destination", {}).get("zone") == "external")
    assert outside > 100e6
    assert ask(watched, question("Left for outside"), LEAK, LEAKER) == [{"outside": outside}]
    rows = ask(watched, question("What left, by zone"), LEAK, LEAKER)
    assert sum(row["external"] for row in rows) == outside
    (usual, again) = ask(watched, question("What left, by zone", 1), LEAK, LEAKER)
    assert usual["usual for it"] == again["usual for it"] < max(row["external"] for row in rows) / 100
    endpoints = ask(watched, question("Endpoints"), LEAK, LEAKER)
    assert (endpoints[0]["Endpoint"], endpoints[0]["New"]) == ("ingest.rankboost.example", 1)
    assert endpoints[0]["Bytes out"] == outside


def test_the_budget_is_that_of_the_configuration(watched: Store) -> None:
    assert ask(watched, question("Budget"), ALL) == [{"budget": Config().budget.alerts_per_day}]
    (actual,) = ask(watched, question("Actual, true ones among them"), ALL)
    days = ask(watched, question("Alerts a day, by what is behind them"), ALL)
    alone = sum(row["statistics alone"] for row in days)
    assert actual["a day"] == pytest.approx(alone / (ALL.end - ALL.begin).days)
    ((count,),) = watched.client.query("SELECT count() FROM alerts_current").result_rows
    assert alone + sum(row["a rule among them"] for row in days) == count


def test_precision_is_that_of_the_verdicts_in_force(watched: Store) -> None:
    given = ask(watched, question("Latest verdicts"), ALL)
    assert {(row["Verdict"], row["In force"]) for row in given} == {("true", "yes"), ("false", "yes")}
    judged = {row["Detector"]: row for row in ask(watched, question("Verdicts by detector"), ALL)}
    right = next(row["Found by"] for row in given if row["Verdict"] == "true").split(", ")
    wrong = next(row["Found by"] for row in given if row["Verdict"] == "false").split(", ")
    assert set(judged) == {*right, *wrong}
    for name, row in judged.items():
        assert row["Judged"] == (name in right) + (name in wrong)
        assert row["Precision"] == (name in right) / row["Judged"]
    weeks = ask(watched, question("Precision by week"), ALL)
    assert {row["detector"]: row["precision"] for row in weeks} == {n: r["Precision"] for n, r in judged.items()}


def test_the_choice_of_principals_begins_with_those_that_were_found_out(watched: Store) -> None:
    (page,) = (page for page in pages() if page["uid"] == "rogue-agents-agent")
    (choice,) = (v["query"]["rawSql"] for v in page["templating"]["list"] if v["name"] == "principal")
    names = [row["principal"] for row in ask(watched, choice, LEAK)]
    assert names[0] == LEAKER
    assert len(names) > 20


@pytest.mark.parametrize("name", ["nobody", "x' OR 1 = 1 -- ", "x\\' OR 1 = 1 -- ", "x\\", "ü%27 {}$$"])
def test_a_name_that_means_harm_is_a_name_of_nobody(watched: Store, name: str) -> None:
    assert ask(watched, question("Findings"), ALL, name) == []
    assert ask(watched, question("Acts, findings and alerts"), ALL, name) == []


def test_an_analyst_may_ask_all_of_it(tmp_path: Path) -> None:
    store = tmp_path / "store"
    made = "import sys; from detector.store.client import connect; from detector.store.migrate import migrate; "
    made += "store = connect(sys.argv[1]); migrate(store); store.close()"
    subprocess.run([sys.executable, "-c", made, f"chdb://{store}"], check=True, timeout=120)
    asked = {each.label: sql(each.text, ALL, LEAKER) for each in questions(CLICKHOUSE)}
    asked["what was said"] = "SELECT raw FROM events"
    command = [sys.executable, "-m", "tests.support.roles", str(store), "analyst"]
    sent = msgspec.json.encode(list(asked.values()))
    done = subprocess.run(command, input=sent, stdout=subprocess.PIPE, check=True, cwd=SAMPLES.parent, timeout=120)
    answers = dict(zip(asked, msgspec.json.decode(done.stdout), strict=True))
    assert {label: code for label, code in answers.items() if code is not None} == {"what was said": ACCESS_DENIED}
