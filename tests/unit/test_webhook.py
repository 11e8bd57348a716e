"""The webhook against a real HTTP server: signed, not redirected, tried again only when that can help."""

import hashlib
import hmac
import socket
from collections.abc import Iterator

import msgspec
import pytest

from detector.alerts import Alert
from detector.sinks.base import Batch, SinkUnavailable
from detector.sinks.delivery import Backoff
from detector.sinks.http import HttpOptions
from detector.sinks.runner import Limits, SinkRunner
from detector.sinks.webhook import WebhookSink
from tests.support.nouns import an_alert
from tests.support.receiver import Answer, Receiver, running_receiver

SECRET = b"between us two"
NOW = 1_770_000_000.9


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as receiver:
        yield receiver


@pytest.fixture
def sink(receiver: Receiver) -> Iterator[WebhookSink]:
    sink = WebhookSink(f"{receiver.url}/hook?team=soc", SECRET, http=HttpOptions(timeout=5.0), clock=lambda: NOW)
    yield sink
    sink.close()


def test_an_alert_arrives_whole_signed_and_with_its_idempotency_key(receiver: Receiver, sink: WebhookSink) -> None:
    alert = an_alert(7, version=3, title="Überlauf → files.example")
    assert sink.write(Batch(alerts=[alert])) == []
    (request,) = receiver.requests
    assert request.path == "/hook?team=soc"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-detector-delivery"] == "a-7:3"
    assert request.headers["x-detector-timestamp"] == "1770000000"
    digest = hmac.new(SECRET, b"1770000000." + request.body, hashlib.sha256).hexdigest()
    assert request.headers["x-detector-signature"] == f"sha256={digest}"
    assert msgspec.json.decode(request.body, type=Alert) == alert


def test_a_busy_receiver_is_tried_again_by_the_runner_with_the_same_key(receiver: Receiver) -> None:
    receiver.answers = [Answer(503), Answer(429, (("Retry-After", "7"),))]
    pauses: list[float] = []

    def pause(seconds: float) -> bool:
        pauses.append(seconds)
        return False

    limits = Limits(linger=0.0, backoff=Backoff(0.001, 0.001))
    runner = SinkRunner(WebhookSink(receiver.url, SECRET), limits, pause=pause)
    runner.start()
    runner.put(Batch(alerts=[an_alert(1)]))
    assert runner.close(20.0)
    assert [request.headers["x-detector-delivery"] for request in receiver.requests] == ["a-1:1"] * 3
    assert len(pauses) == 2
    assert pauses[1] == 7.0


def test_what_got_through_is_not_posted_again_by_the_retry(receiver: Receiver, sink: WebhookSink) -> None:
    receiver.answers = [Answer(200), Answer(400, body=b"no"), Answer(503)]
    batch = Batch(alerts=[an_alert(number) for number in (1, 2, 3)])
    with pytest.raises(SinkUnavailable):
        sink.write(batch)
    (refused,) = sink.write(batch)
    assert refused.item == an_alert(2), "what was refused in the first try is still told"
    keys = [request.headers["x-detector-delivery"] for request in receiver.requests]
    assert keys == ["a-1:1", "a-2:1", "a-3:1", "a-3:1"]


@pytest.mark.parametrize("status", [400, 401, 404, 410, 422])
def test_a_4xx_refuses_the_alert_for_good_and_says_why(receiver: Receiver, sink: WebhookSink, status: int) -> None:
    receiver.answers = [Answer(status, body=b"unknown\nteam")]
    (refused,) = sink.write(Batch(alerts=[an_alert(1)]))
    assert refused.item == an_alert(1)
    assert refused.reason == f"127.0.0.1 answered {status}: unknown team"


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_may_pass_is_unavailable(receiver: Receiver, sink: WebhookSink, status: int) -> None:
    receiver.answers = [Answer(status)]
    with pytest.raises(SinkUnavailable, match=str(status)):
        sink.write(Batch(alerts=[an_alert(1)]))


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(receiver: Receiver, sink: WebhookSink, status: int) -> None:
    with running_receiver() as elsewhere:
        receiver.answers = [Answer(status, (("Location", elsewhere.url),))]
        with pytest.raises(SinkUnavailable, match="redirects are not followed"):
            sink.write(Batch(alerts=[an_alert(1)]))
        assert elsewhere.requests == []


@pytest.mark.parametrize(
    ("wish", "seconds"),
    [("120", 120.0), ("999999", 300.0), ("Mon, 02 Feb 2026 02:41:00 GMT", 59.1), ("soon", None), ("", None)],
)
def test_retry_after_is_read_in_both_its_forms(
    receiver: Receiver, sink: WebhookSink, wish: str, seconds: float | None
) -> None:
    receiver.answers = [Answer(503, (("Retry-After", wish),))]
    with pytest.raises(SinkUnavailable) as caught:
        sink.write(Batch(alerts=[an_alert(1)]))
    assert caught.value.retry_after == (None if seconds is None else pytest.approx(seconds))


def test_nobody_there_is_unavailable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        sink = WebhookSink(f"http://127.0.0.1:{taken.getsockname()[1]}", SECRET)
        with pytest.raises(SinkUnavailable, match="ConnectError"):
            sink.write(Batch(alerts=[an_alert(1)]))
        sink.close()


def test_a_receiver_that_never_answers_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        sink = WebhookSink(url, SECRET, http=HttpOptions(timeout=0.05))
        with pytest.raises(SinkUnavailable, match="ReadTimeout"):
            sink.write(Batch(alerts=[an_alert(1)]))
        sink.close()


def test_an_endless_answer_is_not_read_to_its_end(receiver: Receiver, sink: WebhookSink) -> None:
    receiver.answers = [Answer(400, body=b"no " * 10_000_000)]
    (refused,) = sink.write(Batch(alerts=[an_alert(1)]))
    assert len(refused.reason) < 300
    assert receiver.hung_up.wait(10.0)
    assert sink.write(Batch(alerts=[an_alert(2)])) == [], "the connection was not left half-read"


def test_the_environments_proxy_is_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_receiver() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        fresh = WebhookSink(receiver.url, SECRET)
        assert fresh.write(Batch(alerts=[an_alert(1)])) == []
        fresh.close()
        assert (len(receiver.requests), len(proxy.requests)) == (1, 0)


@pytest.mark.parametrize("url", ["ftp://soc.example/x", "file:///etc/passwd", "soc.example/hook", "http:///hook", ""])
def test_only_http_urls_with_a_host_are_taken(url: str) -> None:
    with pytest.raises(ValueError, match="not an http"):
        WebhookSink(url, SECRET)


def test_credentials_in_the_url_are_refused_and_not_shown() -> None:
    with pytest.raises(ValueError, match="credentials in the URL") as caught:
        WebhookSink("https://soc:hunter2@soc.example/hook", SECRET)
    assert "hunter2" not in str(caught.value)


def test_a_secret_is_needed() -> None:
    with pytest.raises(ValueError, match="secret"):
        WebhookSink("https://soc.example/hook", b"")
