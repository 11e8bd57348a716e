"""Reports and tables for people: they hold what they should, and hostile names in them do nothing."""

import io
import json
import re
import shlex
from datetime import UTC, datetime
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from detector.audit import exposure, report, show, timeline
from detector.audit.answer import Answer, Table
from detector.cli import app
from detector.sinks.base import Batch
from detector.sinks.clickhouse import ClickHouseSink
from detector.store.client import Store
from tests.support import queries
from tests.support.audited import audited, incident_of
from tests.support.nouns import T0, a_finding, an_alert, an_envelope

__all__ = ["audited"]
pytestmark = pytest.mark.chdb

NOW = datetime(2026, 11, 21, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script>\x1b[2J|[x](http://evil.example)`$\\frac$`\u202e"


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_a_report_tells_the_exposure_and_stands_by_itself(audited: Store) -> None:
    found = report.report(audited, incident_of(audited, "advice_exposure"))
    page = report.to_html(found, now=NOW).decode()
    for words in ("15,591,110 bytes", "12 newly admitted people read 10,926 records", "leila.horvat", "4,812 people"):
        assert words in page
    assert [chart.name for chart in found.charts] == ["timeline", "transfer", "exposure-2"]
    tags = Tags()
    tags.feed(page)
    assert {tag for tag, _ in tags.seen} & {"script", "link", "iframe", "object"} == set()
    sources = [attributes["src"] for tag, attributes in tags.seen if tag == "img"]
    assert len(sources) == 3
    assert all(source is not None and source.startswith("data:image/svg+xml;base64,") for source in sources)
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//", page)
    assert found.integrity.sound is True


def test_a_report_is_the_same_each_time(audited: Store) -> None:
    identity = incident_of(audited, "moderation_exfil")
    one, two = (report.report(audited, identity) for _ in range(2))
    assert [chart.svg for chart in one.charts] == [chart.svg for chart in two.charts]
    facts = dict(one.facts)
    assert facts["Alert raised"] == "2026-03-06T14:00:00.649Z (22.887 s before the first harm)"
    assert facts["Became SEV1"] == "2026-03-06T14:00:23.536Z (0.000 s after the first harm)"
    assert "(332,992,898 bytes)" in facts["Data that left"]


def test_markdown_has_its_charts_beside_it(audited: Store, tmp_path: Path) -> None:
    url = f"{audited.url}?database={audited.database}"
    out = tmp_path / "report.md"
    identity = incident_of(audited, "inbox_deletion")
    ran = CliRunner().invoke(app, ["audit", "incident", identity, "--store", url, "--out", str(out)])
    assert ran.exit_code == 0, ran.output
    text = out.read_text("utf-8")
    named = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert sorted(named) == sorted(path.name for path in tmp_path.glob("*.svg"))
    assert "report-timeline.svg" in named
    assert "stop" in text


def hostile(store: Store) -> str:
    sink = ClickHouseSink(store.client, database=store.database)
    envelope = an_envelope(1)
    event = type(envelope.event)(
        id=HOSTILE, time=T0, actor=type(envelope.event.actor)(id=HOSTILE, session=HOSTILE), kind="call", action=HOSTILE
    )
    raw = type(envelope)(event, "agent-events", 0, 1, T0.timestamp(), b"{}")
    finding = a_finding(
        1, principal=HOSTILE, event_id=HOSTILE, reason=HOSTILE, entities=(f"session:{HOSTILE}",), time=T0
    )
    alert = an_alert(
        1, title=HOSTILE, reason=HOSTILE, principals=(HOSTILE,), finding_ids=("f-1",), event_ids=(HOSTILE,)
    )
    sink.write(Batch(events=[(raw, "scored")], findings=[finding], alerts=[alert]))
    return alert.id


def test_hostile_names_do_nothing_in_a_report(embedded_store: Store) -> None:
    found = report.report(embedded_store, hostile(embedded_store))
    page = report.to_html(found, now=NOW).decode()
    assert "&lt;script&gt;" in page
    for body in (page, *(chart.svg.decode() for chart in found.charts)):
        assert "<script" not in body
        assert "\x1b" not in body
        assert "\u202e" not in body
    text = report.to_markdown(found, now=NOW, images={}).decode()
    assert "<script" not in text
    assert not re.search(r"(?<!\\)\]\(", text)
    assert "http:" not in text
    assert "\x1b" not in text


def test_hostile_names_do_nothing_in_any_format(embedded_store: Store) -> None:
    hostile(embedded_store)
    answer = timeline.of_principal(embedded_store, HOSTILE)
    screen = io.StringIO()
    show.to_screen(answer, Console(file=screen, width=200, force_terminal=False))
    assert "\x1b[2J" not in screen.getvalue()
    text = show.to_markdown(answer)
    assert all(line.count("|") - line.count("\\|") == 6 for line in text.splitlines() if line.startswith("|"))
    told = json.loads(show.to_json(answer))
    assert told["tables"]["timeline"][0]["event_id"] == HOSTILE


def test_formulas_are_no_formulas_in_csv() -> None:
    table = Table("t", "t", ("a", "b", "c"), [("=1+1", -5, 0.1), ("@x", True, None), ("ok,\n", T0, ["x"])])
    assert show.to_csv(table) == ('a,b,c\n\'=1+1,-5,0.1\n\'@x,true,\n"ok,\n",2026-03-02T09:00:00.000Z,"[""x""]"\n')


def test_parquet_keeps_types_and_all_columns(audited: Store) -> None:
    answer = exposure.answer(audited)
    pq = import_module("pyarrow.parquet")
    read = pq.read_table(io.BytesIO(show.to_parquet(show.chosen(answer, "reads"))))
    assert tuple(read.column_names) == exposure.READ
    rows = read.to_pylist()
    assert sum(row["bytes_in"] for row in rows if row["newly_admitted"]) == 15_591_110
    assert rows[0]["first_read"].tzinfo is not None


def test_an_answer_without_rows_says_what_to_try() -> None:
    screen = io.StringIO()
    answer = Answer([Table("t", "Things", ("a",), [])], advice="Try another.")
    show.to_screen(answer, Console(file=screen, width=100))
    assert screen.getvalue() == "Things: nothing.\nTry another.\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["timeline"], "give one of them"),
        (["timeline", "--principal", "x", "--since", "tomorrow"], "is no time"),
        (["timeline", "--principal", "x", "--since", "2026-02-02", "--until", "2026-01-01"], "before it begins"),
        (["egress", "--principal", "x", "--out", "x.doc"], "end it in .csv"),
        (["exposure", "--format", "csv", "--table", "nothing"], "has no table"),
        (["why", "a-x"], "no alert"),
    ],
)
def test_errors_of_commands_name_the_remedy(audited: Store, words: list[str], says: str, tmp_path: Path) -> None:
    url = f"{audited.url}?database={audited.database}"
    given = [str(tmp_path / word) if word.endswith(".doc") else word for word in words]
    ran = CliRunner().invoke(app, ["audit", *given, "--store", url])
    assert ran.exit_code != 0
    assert says in f"{ran.output} {ran.exception}"


def test_the_walk_through_can_be_followed(audited: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command of AUDITORS.md, on the store that `detector demo` makes."""
    text = (queries.QUERIES.parent / "AUDITORS.md").read_text("utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    commands = [shlex.split(line) for block in blocks for line in block.replace("\\\n", " ").splitlines() if line]
    asked = [command[1:] for command in commands if command[:2] == ["detector", "audit"]]
    assert {words[1] for words in asked} >= {
        *("timeline", "incident", "exposure", "access", "why", "why-not", "egress", "coverage", "sql", "verify"),
    }
    monkeypatch.chdir(tmp_path)
    url = f"{audited.url}?database={audited.database}"
    for words in asked:
        ran = CliRunner().invoke(app, [word.replace("chdb://./var/demo/store", url) for word in words])
        assert ran.exit_code == 0, (words, ran.output, ran.exception)
        assert ran.output


def test_the_documented_statements_are_those_that_run() -> None:
    assert queries.QUERIES.read_text("utf-8") == queries.text(), "run python -m tests.support.queries"
