"""What is posted to Alertmanager: labels, times, and who is to blame for a 400. The real one is in integration/."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from detector.sinks.alertmanager import AlertmanagerSink
from detector.sinks.base import Batch, SinkUnavailable
from tests.support.nouns import T0, an_alert
from tests.support.receiver import Answer, Receiver, running_receiver

BEAT = 60.0


class Clock:
    """Unix seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = T0.timestamp() + 3600.0


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as receiver:
        yield receiver


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sink(receiver: Receiver, clock: Clock) -> Iterator[AlertmanagerSink]:
    sink = AlertmanagerSink(f"{receiver.url}/am/", heartbeat=BEAT, max_open=3, clock=lambda: clock.now)
    yield sink
    sink.close()


def posts(receiver: Receiver, request: int = -1) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = msgspec.json.decode(receiver.requests[request].body)
    return listed


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_an_open_alert_in_full(receiver: Receiver, sink: AlertmanagerSink, clock: Clock) -> None:
    assert sink.write(Batch(alerts=[an_alert(7)])) == []
    assert receiver.requests[0].path == "/am/api/v2/alerts"
    (post,) = posts(receiver)
    assert post["labels"] == {
        "alertname": "RogueAgentTransferRate",
        "detector": "transfer_rate",
        "severity": "SEV2",
        "role": "moderator",
        "service": "rogue-agent-detector",
        "incident": "a-7",
    }
    assert post["annotations"]["summary"] == "agent-1 sends data to a host nobody approved"
    assert post["annotations"]["principals"] == "agent-1"
    assert post["annotations"]["findings"] == "f-1, f-2"
    assert "resolution" not in post["annotations"]
    assert seconds(post["startsAt"]) == an_alert().detected_at.timestamp(), "event time, an hour ago"
    assert seconds(post["endsAt"]) == clock.now + 4 * BEAT


def test_no_principal_is_a_label(receiver: Receiver, sink: AlertmanagerSink) -> None:
    sink.write(Batch(alerts=[an_alert(1, principals=("agent-1", "eve@corp.example"))]))
    (post,) = posts(receiver)
    assert not {"agent-1", "eve@corp.example"} & set(post["labels"].values())


def test_long_lists_are_cut(receiver: Receiver, sink: AlertmanagerSink) -> None:
    sink.write(Batch(alerts=[an_alert(1, principals=tuple(f"p{number}" for number in range(500)))]))
    assert posts(receiver)[0]["annotations"]["principals"].endswith("p9 and 490 more")


def test_an_alert_from_the_future_starts_now(receiver: Receiver, sink: AlertmanagerSink, clock: Clock) -> None:
    ahead = datetime.fromtimestamp(clock.now, UTC) + timedelta(hours=9)
    sink.write(Batch(alerts=[an_alert(1, detected_at=ahead)]))
    assert seconds(posts(receiver)[0]["startsAt"]) == clock.now
    sink.write(Batch(alerts=[an_alert(1, 2, "resolved", detected_at=ahead)]))
    (post,) = posts(receiver)
    assert seconds(post["startsAt"]) < seconds(post["endsAt"])


def test_the_heartbeat_moves_the_end_and_nothing_else(receiver: Receiver, sink: AlertmanagerSink, clock: Clock) -> None:
    sink.tick()
    assert receiver.requests == [], "nothing is open"
    sink.write(Batch(alerts=[an_alert(1), an_alert(2)]))
    first = posts(receiver)
    clock.now += BEAT
    sink.tick()
    for before, after in zip(first, posts(receiver), strict=True):
        assert seconds(after.pop("endsAt")) == seconds(before.pop("endsAt")) + BEAT
        assert after == before


def test_resolving_ends_the_alert_now_and_its_heartbeat(
    receiver: Receiver, sink: AlertmanagerSink, clock: Clock
) -> None:
    sink.write(Batch(alerts=[an_alert(1)]))
    clock.now += 500
    sink.write(Batch(alerts=[an_alert(1, 2, "resolved", resolution="quiet for 1 h")]))
    (post,) = posts(receiver)
    assert seconds(post["endsAt"]) == clock.now
    assert post["annotations"]["resolution"] == "quiet for 1 h"
    sink.tick()
    assert len(receiver.requests) == 2


def test_what_is_another_process_s_now_is_not_opened_anew_by_our_heartbeat(
    receiver: Receiver, sink: AlertmanagerSink
) -> None:
    sink.write(Batch(alerts=[an_alert(1)]))
    sink.forget()
    sink.tick()
    assert len(receiver.requests) == 1
    sink.write(Batch(alerts=[an_alert(1)]))
    sink.tick()
    assert len(receiver.requests) == 3, "it is ours again"


def test_a_risen_severity_resolves_the_old_label_set_in_the_same_request(
    receiver: Receiver, sink: AlertmanagerSink, clock: Clock
) -> None:
    sink.write(Batch(alerts=[an_alert(1, severity="SEV3")]))
    clock.now += 10
    sink.write(Batch(alerts=[an_alert(1, 2, "updated", "SEV1")]))
    old, new = posts(receiver)
    assert (old["labels"]["severity"], seconds(old["endsAt"])) == ("SEV3", clock.now)
    assert (new["labels"]["severity"], seconds(new["endsAt"])) == ("SEV1", clock.now + 4 * BEAT)
    sink.tick()
    assert [post["labels"]["severity"] for post in posts(receiver)] == ["SEV1"]


def test_an_alert_that_was_over_before_it_was_seen_is_shown_for_one_heartbeat(
    receiver: Receiver, sink: AlertmanagerSink, clock: Clock
) -> None:
    sink.write(Batch(alerts=[an_alert(1), an_alert(1, 2, "resolved")]))
    (post,) = posts(receiver)
    assert seconds(post["endsAt"]) == clock.now + BEAT
    sink.tick()
    sink.write(Batch(alerts=[an_alert(1), an_alert(1, 2, "resolved")]))
    assert len(receiver.requests) == 1, "written again, it doesn't come back to life"


def test_a_failed_write_changes_nothing_of_what_is_known(
    receiver: Receiver, sink: AlertmanagerSink, clock: Clock
) -> None:
    sink.write(Batch(alerts=[an_alert(1, severity="SEV3")]))
    receiver.answers = [Answer(503)]
    for _ in range(2):
        try:
            sink.write(Batch(alerts=[an_alert(1, 2, "updated", "SEV1")]))
        except SinkUnavailable:
            clock.now += 1
    assert [post["labels"]["severity"] for post in posts(receiver)] == ["SEV3", "SEV1"]


def test_the_bad_one_of_a_list_is_found_and_refused(receiver: Receiver, sink: AlertmanagerSink) -> None:
    receiver.answers = [Answer(400), Answer(200), Answer(400, body=b"start time must be before end time")]
    (refused,) = sink.write(Batch(alerts=[an_alert(1), an_alert(2), an_alert(3)]))
    assert refused.item == an_alert(2)
    assert "start time" in refused.reason
    sink.tick()
    assert [post["labels"]["incident"] for post in posts(receiver)] == ["a-1", "a-3"]


def test_a_refused_heartbeat_ends(receiver: Receiver, sink: AlertmanagerSink) -> None:
    sink.write(Batch(alerts=[an_alert(1)]))
    receiver.answers = [Answer(400)]
    sink.tick()
    sink.tick()
    assert len(receiver.requests) == 2


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503, 307])
def test_a_wrong_setting_or_a_passing_state_loses_no_alert(
    receiver: Receiver, sink: AlertmanagerSink, status: int
) -> None:
    receiver.answers = [Answer(status)]
    with pytest.raises(SinkUnavailable, match=str(status)):
        sink.write(Batch(alerts=[an_alert(1)]))


def test_many_alerts_go_in_several_requests(receiver: Receiver, clock: Clock) -> None:
    sink = AlertmanagerSink(receiver.url, clock=lambda: clock.now)
    sink.write(Batch(alerts=[an_alert(number) for number in range(150)]))
    sink.close()
    assert [len(posts(receiver, request)) for request in range(3)] == [64, 64, 22]


def test_beyond_its_bound_the_least_severe_and_longest_unchanged_lose_their_heartbeat(
    receiver: Receiver, sink: AlertmanagerSink
) -> None:
    quiet = an_alert(2, severity="SEV4", updated_at=T0)
    sink.write(Batch(alerts=[an_alert(1, severity="SEV1"), quiet, an_alert(3, severity="SEV4"), an_alert(4)]))
    assert len(posts(receiver)) == 4, "all of them are posted once"
    sink.tick()
    assert [post["labels"]["incident"] for post in posts(receiver)] == ["a-1", "a-3", "a-4"]
    assert sink.let_go == 1
