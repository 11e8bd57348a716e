"""The auditor's questions on the sample scenarios, with the exact answers: computed here from the files themselves."""

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

import pytest

from detector.audit import access, coverage, egress, exposure, incident, timeline, why, why_not
from detector.audit.answer import Answer, AuditError, Span, moment
from detector.events import Envelope, Reject, Rejected
from detector.sinks.base import Batch
from detector.sinks.clickhouse import ClickHouseSink
from detector.store.client import Store
from tests.support.audited import audited, expected_of, incident_of, sample
from tests.support.nouns import a_finding, an_envelope

__all__ = ["audited"]
pytestmark = pytest.mark.chdb

OPENED = "store://insights/company-and-user-data"
SCENARIOS = ("advice_exposure", "inbox_deletion", "moderation_exfil", "sandbox_escalation")


def rows(answer: Answer, table: str) -> list[dict[str, Any]]:
    return next(each for each in answer.tables if each.name == table).dicts()


def target(event: dict[str, Any]) -> str:
    return str(event.get("target", {}).get("uri", ""))


def test_the_exposure_is_told_to_the_person_and_the_byte(audited: Store) -> None:
    events = sample("advice_exposure")
    story = expected_of("advice_exposure").incident.event_ids_of_story
    opening, closing = (next(e for e in events if e["id"] == story[name]) for name in ("change", "close"))
    every_sample = [e for name in SCENARIOS for e in sample(name)]
    before = {e["actor"]["id"] for e in every_sample if target(e) == OPENED and e["time"] < opening["time"]}
    reads: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        inside = opening["time"] <= event["time"] < closing["time"]
        if inside and target(event) == OPENED and event["kind"] in {"access", "transfer", "call"}:
            reads[event["actor"]["id"]].append(event)
    assert opening["actor"]["id"] not in reads

    answer = exposure.answer(audited, resource=OPENED)
    (window,) = rows(answer, "windows")
    assert (window["opened_at"], window["closed_at"]) == (opening["time"], closing["time"])
    assert (window["opened_by"], window["closed_by"]) == ("leila.horvat", "anton.ivanov")
    assert window["open_seconds"] == (closing["time"] - opening["time"]).total_seconds() == 7239.407
    assert (window["audience_after"], window["audience_after_count"]) == ("org", 4812)
    told = {
        row["principal"]: (row["newly_admitted"], row["reads"], row["records"], row["bytes_in"], row["first_read"])
        for row in rows(answer, "reads")
    }
    assert told == {
        who: (
            who not in before,
            len(each),
            sum(e.get("records", 0) for e in each),
            sum(e.get("bytes_in", 0) for e in each),
            each[0]["time"],
        )
        for who, each in reads.items()
    }
    let_in = [each for who, each in reads.items() if who not in before]
    assert (window["newly_admitted"], window["reads"]) == (len(let_in), sum(map(len, let_in))) == (12, 30)
    assert window["bytes_in"] == sum(e.get("bytes_in", 0) for each in let_in for e in each) == 15_591_110


def test_an_exposure_that_was_closed_does_not_stand_open(audited: Store) -> None:
    answer = exposure.answer(audited, only_open=True)
    assert rows(answer, "windows") == []
    assert "stands open" in answer.advice


def test_access_tells_who_and_by_which_permission(audited: Store) -> None:
    day = Span(moment("2026-04-13"), moment("2026-04-14"))
    by = {(row["principal"], row["grant_event"]): row for row in rows(access.answer(audited, OPENED, day), "access")}
    story = expected_of("advice_exposure").incident.event_ids_of_story
    wide = {who: row for (who, grant), row in by.items() if grant == story["change"] and row["reads"]}
    assert set(wide) == {
        *("ingrid.diallo", "mei.raman", "amina.ndiaye", "mateo.berg", "jonas.rossi", "lucia.dvorak"),
        *("kofi.haddad", "fatou.karimi", "david.fischer", "elena.romero", "noah.bello", "priya.kapoor"),
    }
    assert {row["permission"] for row in wide.values()} == {"widen of read to org (4,812 people)"}
    assert {row["granted_by"] for row in wide.values()} == {"leila.horvat"}
    happened = [e for e in sample("advice_exposure") if target(e) == OPENED and day.since <= e["time"] < day.until]
    assert sum(row["acts"] for row in by.values()) == len(happened)
    assert sum(row["bytes_in"] for row in by.values()) == sum(e.get("bytes_in", 0) for e in happened)
    standing = {who for (who, grant), row in by.items() if not grant and row["reads"]}
    assert standing == {e["actor"]["id"] for e in happened if e["kind"] != "permission"} - set(wide)


def test_access_to_what_nobody_reached_says_what_there_is(audited: Store) -> None:
    answer = access.answer(audited, "store://insights")
    assert rows(answer, "access") == []
    assert OPENED in answer.advice


def test_egress_counts_by_destination_and_marks_the_new(audited: Store) -> None:
    day = Span(moment("2026-03-06"), moment("2026-03-07"))
    told = {
        row["destination"]: row for row in rows(egress.answer(audited, "content-moderation-agent-02", day), "egress")
    }
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for event in sample("moderation_exfil"):
        if event["actor"]["id"] == "content-moderation-agent-02" and day.since <= event["time"] < day.until:
            to = event.get("destination", {})
            name = to.get("host") or to.get("account") or to.get("recipient")
            if name:
                sums[name][0] += 1
                sums[name][1] += event.get("bytes_out", 0) if event.get("outcome", "success") == "success" else 0
    assert {name: [row["acts"], row["bytes_out"]] for name, row in told.items()} == sums
    stranger = told["ingest.rankboost.example"]
    assert (stranger["new"], stranger["others"], stranger["first_in_fleet"]) == (True, 0, True)
    assert stranger["finding_severity"] == "SEV2"
    assert told["classify.ml.corp.internal"]["new"] is False


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_first_harm_of_an_incident_is_the_one_that_is_known(audited: Store, name: str) -> None:
    expected = expected_of(name)
    found = incident.gather(audited, incident_of(audited, name))
    assert found.first_harm is not None
    assert (found.first_harm["id"], found.first_harm["time"]) == (
        expected.first_harm.event_id,
        expected.first_harm.time,
    )
    seconds = found.seconds_to_alert
    assert seconds is not None
    assert seconds == (found.alert["detected_at"] - expected.first_harm.time).total_seconds() <= 60


@pytest.mark.parametrize("name", SCENARIOS)
def test_an_incidents_timeline_holds_its_story_in_order(audited: Store, name: str) -> None:
    identity = incident_of(audited, name)
    found = incident.gather(audited, identity)
    entries = rows(incident.in_order(audited, found), "timeline")
    times = [entry["time"] for entry in entries]
    assert times == sorted(times)
    told = {entry["event_id"] for entry in entries if entry["entry"] == "event"}
    story = expected_of(name).incident.event_ids_of_story
    assert {key for key, event in story.items() if event not in told} <= UNRELATED.get(name, set())
    findings = [entry["id"] for entry in entries if entry["entry"] == "finding"]
    assert len(findings) >= found.alert["finding_count"]
    assert next(entry["what"] for entry in entries if entry["entry"] == "alert").startswith(f"raised {identity}:")


UNRELATED = {"sandbox_escalation": {"grant", "revoke"}, "inbox_deletion": {"session_revoked"}}
"""Steps of the stories that share nothing with a finding: no session, no thread, no resource."""


def test_a_principals_timeline_is_everything_it_did(audited: Store) -> None:
    span = Span(moment("2026-05-11"), moment("2026-05-12"))
    who = "mail-assistant-agent-02"
    entries = rows(timeline.of_principal(audited, who, span), "timeline")
    theirs = [
        e
        for e in sample("inbox_deletion")
        if span.since <= e["time"] < span.until and (target(e) if e["kind"] == "control" else e["actor"]["id"]) == who
    ]
    events = [entry for entry in entries if entry["entry"] == "event"]
    assert [(entry["time"], entry["id"]) for entry in events] == [(e["time"], e["id"]) for e in sorted_(theirs)]
    assert sum(entry["records"] for entry in events) == sum(e.get("records", 0) for e in theirs)
    stop = next(n for n, entry in enumerate(entries) if "control stop" in entry["what"])
    assert any(entry["entry"] == "finding" and "stop_violation" in entry["what"] for entry in entries[stop:])


def sorted_(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(events, key=lambda event: event["time"])


def test_a_timeline_that_is_cut_says_where(audited: Store) -> None:
    answer = timeline.of_principal(audited, "content-moderation-agent-02", most=10)
    assert len([row for row in rows(answer, "timeline") if row["entry"] == "event"]) == 10
    assert "first 10 events" in answer.tables[0].note
    assert "--since" in answer.tables[0].note


def test_a_sessions_timeline(audited: Store) -> None:
    session = next(e["actor"]["session"] for e in sample("moderation_exfil") if e["actor"].get("session"))
    entries = rows(timeline.of_session(audited, session), "timeline")
    theirs = sorted_([e for e in sample("moderation_exfil") if e["actor"].get("session") == session])
    assert [entry["id"] for entry in entries if entry["entry"] == "event"] == [e["id"] for e in theirs]


def test_whom_nobody_knows_is_told_with_who_is_near(audited: Store) -> None:
    answer = timeline.of_principal(audited, "moderation-agent-02")
    assert answer.empty
    assert "content-moderation-agent-02" in answer.advice


def test_why_there_is_an_alert(audited: Store) -> None:
    identity = incident_of(audited, "moderation_exfil")
    answer = why.answer(audited, identity)
    findings = rows(answer, "findings")
    assert len(findings) == 12
    assert {f["detector"] for f in findings} >= {"new_endpoint", "transfer_rate", "exfiltration"}
    named = {row["setting"]: row["value"] for row in rows(answer, "settings")}
    assert named["detectors.new_endpoint.external_p"] == "0.02"
    assert named["correlation.alert_from"] == '"SEV3"'
    assert any(name.startswith("configuration ") for name in answer.facts)
    assert [row["version"] for row in rows(answer, "versions")] == list(range(1, len(rows(answer, "versions")) + 1))


def test_why_there_is_a_finding_names_its_alert(audited: Store) -> None:
    identity = incident_of(audited, "moderation_exfil")
    finding = rows(why.answer(audited, identity), "findings")[0]
    answer = why.answer(audited, finding["id"])
    assert answer.facts["alerts"] == identity
    assert answer.facts["why"] == finding["reason"]


@pytest.mark.parametrize("identity", ["a-nothing", "f-nothing"])
def test_why_of_what_there_is_not(audited: Store, identity: str) -> None:
    with pytest.raises(AuditError, match="in the store"):
        why.answer(audited, identity)


def test_an_unknown_incident_is_told_with_the_latest_ones(audited: Store) -> None:
    with pytest.raises(AuditError, match=incident_of(audited, "inbox_deletion")):
        incident.gather(audited, "a-nothing")


def quiet_event(name: str, after: datetime) -> dict[str, Any]:
    """An agent's transfer after a time."""
    return next(e for e in sample(name) if e["time"] > after and e["kind"] == "transfer" and "role" in e["actor"])


def test_why_an_event_raised_nothing_is_told_by_each_detector_exactly(audited: Store) -> None:
    event = quiet_event("moderation_exfil", moment("2026-03-05T12:00"))
    answer = why_not.answer(audited, event["id"])
    assert answer.facts["alert"] == "none: no detector found anything in it"
    told = {row["detector"]: row for row in rows(answer, "detectors")}
    assert told["transfer_rate"]["asked"] == "yes"
    assert told["permission_change"]["asked"] == "no: not its kind of act"
    scored = [row for row in rows(answer, "detectors") if row["score"] is not None and row["limit"] is not None]
    assert scored
    assert all(row["score"] <= row["limit"] and row["result"] == "below its limit" for row in scored)
    assert answer.notes[0].startswith("Exact as far as can be told")


def test_why_not_of_an_event_that_did_raise_an_alert_finds_the_same_again(audited: Store) -> None:
    story = expected_of("moderation_exfil").incident.event_ids_of_story
    answer = why_not.answer(audited, story["first_transfer"])
    assert incident_of(audited, "moderation_exfil") in answer.facts["alert"]
    new = next(row for row in rows(answer, "detectors") if row["detector"] == "new_endpoint")
    stored = next(row for row in rows(answer, "findings") if row["detector"] == "new_endpoint")
    assert new["score"] == pytest.approx(stored["score"], abs=1e-3)
    assert new["result"].startswith("beyond its limit: found first_host")
    assert answer.notes[0].startswith("Exact as far as can be told")


def test_a_bounded_replay_says_that_it_is_approximate(audited: Store) -> None:
    story = expected_of("moderation_exfil").incident.event_ids_of_story
    answer = why_not.answer(audited, story["first_transfer"], most=3000)
    assert "of its role only" in answer.facts["played again"]
    assert answer.notes[0].startswith("Approximate")
    with pytest.raises(AuditError, match="--limit"):
        why_not.answer(audited, story["first_transfer"], most=10)


def test_the_samples_are_covered_without_a_gap(audited: Store) -> None:
    answer = coverage.answer(audited)
    told = {row["topic"]: (row["read"], row["missing"]) for row in rows(answer, "partitions")}
    assert told == {f"demo:{name}": (len(sample(name)), 0) for name in SCENARIOS}
    assert rows(answer, "gaps") == rows(answer, "rejects") == []
    assert [row["name"] for row in rows(answer, "silent") if row["of"] == "source"] == [
        "demo:advice_exposure",
        "demo:sandbox_escalation",
        "demo:moderation_exfil",
    ]


def test_gaps_rejects_and_silence_are_told(embedded_store: Store) -> None:
    sink = ClickHouseSink(embedded_store.client, database=embedded_store.database)
    minutes = [*range(100), *range(300, 400)]
    events: list[tuple[Envelope, str]] = [(an_envelope(60 * minute), "scored") for minute in minutes]
    events = [
        (at(envelope, number), verdict) for number, (envelope, verdict) in enumerate(events) if number not in {7, 8, 50}
    ]
    events.append((at(an_envelope(60 * 399), 200), "late"))
    reject = Rejected(Reject("not_json", "not JSON: line 1", b"{"), "agent-events", 0, 50, events[0][0].received_at)
    sink.write(Batch(events=events, rejects=[reject]))
    later = events[0][0].event.time + timedelta(minutes=1000)
    answer = coverage.answer(embedded_store, now=later)
    (partition,) = rows(answer, "partitions")
    assert (partition["read"], partition["rejected"], partition["missing"]) == (198, 1, 2)
    (gap,) = rows(answer, "gaps")
    assert (gap["after_offset"], gap["before_offset"], gap["missing"]) == (6, 9, 2)
    (rejected,) = rows(answer, "rejects")
    assert (rejected["reason"], rejected["rejects"]) == ("not_json", 1)
    (verdict,) = rows(answer, "verdicts")
    assert (verdict["verdict"], verdict["events"]) == ("late", 1)
    silent = {row["of"]: row for row in rows(answer, "silent")}
    assert silent["source"]["silent_seconds"] == 60.0 * (1000 - 399)
    assert silent["source"]["longest_before_seconds"] == 60.0 * 201
    assert rows(coverage.answer(embedded_store), "silent") == []


def at(envelope: Envelope, offset: int) -> Envelope:
    return Envelope(
        envelope.event, envelope.topic, 0, offset, envelope.event.time.timestamp(), envelope.raw, 0, "native"
    )


def test_a_hole_between_two_blocks_of_offsets_is_found(embedded_store: Store) -> None:
    sink = ClickHouseSink(embedded_store.client, database=embedded_store.database)
    places = (0, 1, coverage.BLOCK - 1, coverage.BLOCK + 2, 5 * coverage.BLOCK)
    sink.write(Batch(events=[(at(an_envelope(number), place), "scored") for number, place in enumerate(places)]))
    told = [(gap["after_offset"], gap["before_offset"]) for gap in rows(coverage.answer(embedded_store), "gaps")]
    assert told == [(1, coverage.BLOCK - 1), (coverage.BLOCK - 1, coverage.BLOCK + 2), (coverage.BLOCK + 2, places[-1])]


def test_an_empty_store_says_so(embedded_store: Store) -> None:
    answer = coverage.answer(embedded_store)
    assert answer.empty
    assert "no event" in answer.advice


def test_a_suppressed_finding_is_named_as_the_reason(embedded_store: Store) -> None:
    sink = ClickHouseSink(embedded_store.client, database=embedded_store.database)
    envelope = an_envelope(1)
    sink.write(Batch(events=[(envelope, "scored")], findings=[a_finding(1, suppressed="mute:nightly")]))
    answer = why_not.answer(embedded_store, envelope.event.id)
    assert answer.facts["alert"] == "none: every finding is suppressed, by mute:nightly"
    assert "the defaults: the store holds none" in answer.facts["configuration"]
    assert answer.notes[0].startswith("Approximate")  # the finding is made up: no detector makes it again


def test_a_repeated_write_is_told_once(embedded_store: Store) -> None:
    sink = ClickHouseSink(embedded_store.client, database=embedded_store.database)
    sink.write(Batch(events=[(an_envelope(1), "scored")]))
    sink.write(Batch(events=[(an_envelope(1), "scored"), (an_envelope(2), "scored")]))
    told = rows(timeline.of_principal(embedded_store, "agent-1"), "timeline")
    assert [row["id"] for row in told] == ["e1", "e2"]
