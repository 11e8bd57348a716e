"""What the store is told of a window of open data: each time something comes to it, one version."""

from datetime import timedelta

import msgspec

from detector.correlation import Correlator
from detector.exposure_versions import ExposureVersion
from detector.findings import Finding
from tests.support.correlating import HOUR, at, change, correlator, post, touch
from tests.support.events import START


def versions(stage: Correlator, *findings: Finding) -> list[ExposureVersion]:
    return [version for finding in findings for version in stage.step(finding).exposures]


def test_a_window_is_told_when_it_opens_grows_old_and_closes() -> None:
    stage = correlator(exposure_limit=300.0)
    (opened,) = versions(stage, change(0, privilege="read", grantee="org:all", change="widen"), touch(30, "eve"))
    (overdue,) = stage.advance(at(1000)).exposures
    (closed,) = versions(stage, change(2 * HOUR, closes=True, change="narrow", audience="group", who="carol"))

    assert [(v.version, v.status, v.updated_at) for v in (opened, overdue, closed)] == [
        (1, "open", START),
        (2, "open", START + timedelta(seconds=300)),
        (3, "closed", START + timedelta(hours=2)),
    ]
    assert {v.id for v in (opened, overdue, closed)} == {opened.id}
    assert (opened.readers, opened.overdue) == (0, False)
    assert (overdue.readers, overdue.overdue) == (1, True)
    assert opened.opening_event == "e-bob-0"
    assert (opened.resource, opened.opening_change, opened.privilege) == ("db://users", "widen", "read")
    assert (opened.audience, opened.audience_count, opened.grantee) == ("org", 4100, "org:all")
    assert (opened.opened_by, opened.opened_by_kind, opened.thread) == ("bob", "human", "t-1")
    assert (opened.closed_at, opened.closed_by, opened.resolution) == (None, None, None)
    assert (closed.closed_at, closed.closed_by) == (START + timedelta(hours=2), "carol")
    assert (closed.closing_event, closed.closing_change) == (f"e-carol-{2 * HOUR:g}", "narrow")


def test_opening_it_wider_is_told_and_must_be_closed_for_those_too() -> None:
    stage = correlator()
    _, wider = versions(stage, change(0), change(60, audience="public", audience_count=None))
    assert (wider.version, wider.audience, wider.audience_count) == (2, "public", None)
    assert versions(stage, change(90, closes=True, change="revoke", audience="org")) == []
    (closed,) = versions(stage, change(120, closes=True, change="revoke", audience="public"))
    assert closed.status == "closed"


def test_opening_it_again_for_no_more_people_changes_nothing() -> None:
    assert len(versions(correlator(), change(0), change(60), change(90, audience="group"))) == 1


def test_a_window_goes_with_its_incident_into_another() -> None:
    stage = correlator()
    stage.step(post(0))
    told = stage.step(change(30))
    assert {v.incident for v in told.exposures} == {alert.id for alert in told.alerts}


def test_a_window_that_must_be_let_go_is_not_called_closed() -> None:
    stage = correlator(max_incidents=1)
    stage.step(change(0))
    (gone,) = versions(stage, msgspec.structs.replace(post(60, "other"), entities=("principal:other",)))
    assert (gone.status, gone.version, gone.closed_at) == ("unwatched", 2, None)
    assert gone.resolution == "displaced by newer incidents"


def test_a_restored_stage_tells_the_same_versions() -> None:
    story = [change(0), touch(30, "eve"), change(HOUR, closes=True, change="revoke", who="carol")]
    whole = correlator()
    expected = versions(whole, *story)
    first = correlator()
    told = versions(first, *story[:2])
    second = correlator()
    second.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(first.snapshot())))
    assert told + versions(second, *story[2:]) == expected
