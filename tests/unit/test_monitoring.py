"""The monitoring server: on loopback, over TLS if wanted, and to whom it says what."""

import http.client
import socket
import ssl
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from types import MappingProxyType

import pytest
from prometheus_client import CollectorRegistry, Counter

from detector import http_server, monitoring
from detector.config import Metrics
from detector.http_server import Handler
from detector.monitoring import (
    BODY_MOST,
    RELOAD_PATH,
    MonitoringServer,
    Post,
    _is_local,
    always,
    server_context,
)
from tests.support.certificates import Authority

TOKEN = "t0ken-of-the-scraper"  # noqa: S105 - of a server that lives for this test


def registry() -> CollectorRegistry:
    made = CollectorRegistry()
    Counter("seen", "Seen.", registry=made).inc()
    return made


def troubled() -> tuple[bool, Sequence[str]]:
    return False, ["clickhouse: \x1b[31mrefused\nby db-1.internal"]


def ask(
    server: MonitoringServer,
    path: str,
    token: str | None = None,
    *,
    tls: ssl.SSLContext | None = None,
    method: str = "GET",
    origin: str | None = None,
    body: bytes | None = None,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> tuple[int, str, Mapping[str, str]]:
    """Status, text and headers of an answer."""
    client = (
        http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        if tls is None
        else http.client.HTTPSConnection("127.0.0.1", server.port, timeout=10, context=tls)
    )
    try:
        given = {"Authorization": None if token is None else f"Bearer {token}", "Origin": origin, **headers}
        client.request(method, path, body, {name: value for name, value in given.items() if value is not None})
        answer = client.getresponse()
        return answer.status, answer.read().decode(), dict(answer.getheaders())
    finally:
        client.close()


def test_it_listens_on_loopback_unless_told_otherwise() -> None:
    assert Metrics().address == "127.0.0.1"
    with MonitoringServer(registry(), port=0) as server:
        assert server.address == "127.0.0.1"


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x", TOKEN[:-1], "tök€n", f"{TOKEN} {TOKEN}"])
def test_metrics_are_for_those_who_have_the_token(token: str | None) -> None:
    with MonitoringServer(registry(), port=0, token=TOKEN) as server:
        given = None if token is None else token.encode().decode("latin-1")
        status, text, headers = ask(server, "/metrics", given)
        assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
        assert "seen" not in text
        assert TOKEN not in text
        assert "seen_total 1.0" in ask(server, "/metrics", TOKEN)[1]


def test_probes_need_no_token_and_give_their_reasons_to_those_who_have_it() -> None:
    with MonitoringServer(registry(), port=0, token=TOKEN, healthy=always, ready=troubled) as server:
        assert ask(server, "/healthz")[:2] == (200, "ok\n")
        assert ask(server, "/readyz")[:2] == (503, "no\n")
        status, text, _ = ask(server, "/readyz", TOKEN)
        assert status == 503
        assert "by db-1.internal" in text


def test_what_a_far_side_said_is_no_line_of_its_own_and_no_escape() -> None:
    with MonitoringServer(registry(), port=0, ready=troubled) as server:
        _, text, headers = ask(server, "/readyz")
        assert text == "clickhouse: \ufffd[31mrefused\ufffdby db-1.internal\n"
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_it_speaks_tls_and_a_silent_or_plain_client_holds_nobody_up(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("metrics")
    trusting = ssl.create_default_context(cafile=str(authority.ca))
    with (
        MonitoringServer(registry(), port=0, token=TOKEN, tls=server_context(pair.cert, pair.key)) as server,
        socket.create_connection(("127.0.0.1", server.port)),  # says nothing
        socket.create_connection(("127.0.0.1", server.port)) as plain,
    ):
        plain.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert "seen_total 1.0" in ask(server, "/metrics", TOKEN, tls=trusting)[1]
        assert ask(server, "/metrics", tls=trusting)[0] == 401
        with pytest.raises(ssl.SSLCertVerificationError):
            ask(server, "/metrics", TOKEN, tls=ssl.create_default_context())
        plain.settimeout(10)
        assert b"seen" not in plain.recv(1000)


def test_a_certificate_and_a_key_that_do_not_fit_are_told(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    one, other = authority.issue("one"), authority.issue("other")
    for cert, key in ((one.cert, other.key), (tmp_path / "none.pem", one.key)):
        with pytest.raises(OSError, match="certificate or its key can't be used"):
            server_context(cert, key)


def test_certificate_and_key_are_set_together() -> None:
    with pytest.raises(ValueError, match="go together"):
        Metrics(cert_file=Path("cert.pem"))


def answering(asked: list[bytes], status: int = 200) -> Post:
    """Takes down what was sent, and answers."""

    def post(body: bytes) -> tuple[int, Sequence[str]]:
        asked.append(body)
        return status, ["first", "detector.yaml:2: `state.every` must be a number\n"]

    return post


def test_what_may_be_asked_for_is_asked_by_post_and_its_answer_is_told() -> None:
    asked: list[bytes] = []
    posts = {RELOAD_PATH: answering(asked), "/-/fails": answering(asked, 500)}
    with MonitoringServer(registry(), port=0, posts=posts) as server:
        status, _, headers = ask(server, RELOAD_PATH)
        assert (status, headers["Allow"], asked) == (405, "POST", [])
        said = "first\ndetector.yaml:2: `state.every` must be a number\ufffd\n"
        assert ask(server, RELOAD_PATH, method="POST", body=b"please")[:2] == (200, said)
        assert ask(server, "/-/fails", method="POST")[:2] == (500, said)
        assert asked == [b"please", b""]
        assert ask(server, RELOAD_PATH, method="POST", body=bytes(BODY_MOST))[0] == 200
        assert ask(server, RELOAD_PATH, method="POST", body=bytes(BODY_MOST + 1))[0] == 413
        assert len(asked) == 3
        assert ask(server, "/healthz")[:2] == (200, "ok\n")


def test_it_is_for_this_machine_or_for_those_who_have_the_token() -> None:
    asked: list[bytes] = []
    with MonitoringServer(registry(), port=0, posts={RELOAD_PATH: answering(asked)}, token=TOKEN) as server:
        assert ask(server, RELOAD_PATH, method="POST")[0] == 401
        assert ask(server, RELOAD_PATH, "wrong", method="POST")[0] == 401
        assert not asked
        assert ask(server, RELOAD_PATH, TOKEN, method="POST")[0] == 200
    with MonitoringServer(registry(), port=0, posts={RELOAD_PATH: answering(asked)}) as server:
        assert ask(server, RELOAD_PATH, method="POST", origin="https://evil.example")[0] == 403
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("address", "local"),
    [
        *((here, True) for here in ("127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1")),
        *((there, False) for there in ("10.0.0.1", "::ffff:10.0.0.1", "fe80::1%eth0", "::")),
    ],
)
def test_who_is_of_this_machine(address: str, local: bool) -> None:
    assert _is_local({"REMOTE_ADDR": address}) is local


def test_where_nothing_may_be_asked_for_there_is_no_such_page() -> None:
    with MonitoringServer(registry(), port=0) as server:
        assert ask(server, RELOAD_PATH, method="POST")[0] == 404


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
def test_what_a_proxy_here_passes_on_is_not_asked_from_here(header: str) -> None:
    asked: list[bytes] = []
    with MonitoringServer(registry(), port=0, posts={RELOAD_PATH: answering(asked)}) as server:
        assert ask(server, RELOAD_PATH, method="POST", headers={header: "127.0.0.1"})[0] == 403
        assert not asked
        assert ask(server, RELOAD_PATH, method="POST")[0] == 200
    with MonitoringServer(registry(), port=0, posts={RELOAD_PATH: answering(asked)}, token=TOKEN) as server:
        assert ask(server, RELOAD_PATH, TOKEN, method="POST", headers={header: "10.0.0.1"})[0] == 200


def test_a_page_that_needs_a_token_is_for_nobody_where_there_is_none() -> None:
    asked: list[bytes] = []
    posts = {RELOAD_PATH: answering(asked), "/api/judge": answering(asked)}
    with MonitoringServer(registry(), port=0, posts=posts, only_with_token={"/api/judge"}) as server:
        status, text, _ = ask(server, "/api/judge", method="POST", body=b"{}")
        assert (status, text) == (403, "only with a token: set `metrics.token`, and send it\n")
        assert not asked
        assert ask(server, RELOAD_PATH, method="POST")[0] == 200
    with MonitoringServer(registry(), port=0, posts=posts, only_with_token={"/api/judge"}, token=TOKEN) as server:
        assert ask(server, "/api/judge", method="POST")[0] == 401
        assert ask(server, "/api/judge", TOKEN, method="POST")[0] == 200


def test_a_length_that_no_number_holds_is_too_large() -> None:
    with MonitoringServer(registry(), port=0, posts={RELOAD_PATH: answering([])}) as server:
        for length in ("9" * 5000, "9" * 10, "-1", "1e3"):
            assert ask(server, RELOAD_PATH, method="POST", headers={"Content-Length": length})[0] == 413


@pytest.mark.parametrize("head", ["", f"POST {RELOAD_PATH} HTTP/1.1\r\nContent-Length: 9000\r\n\r\n"])
def test_a_request_that_trickles_holds_no_thread(monkeypatch: pytest.MonkeyPatch, head: str) -> None:
    """Neither with its headers nor with its body, though each byte comes in time."""
    asked: list[bytes] = []
    monkeypatch.setattr(Handler, "timeout", 0.5)
    with (
        MonitoringServer(registry(), port=0, posts={RELOAD_PATH: answering(asked)}) as server,
        socket.create_connection(("127.0.0.1", server.port)) as slow,
    ):
        slow.sendall(head.encode())
        slow.settimeout(0.02)
        told = b""
        for _ in range(500):  # 10 s at the least
            with suppress(TimeoutError):
                more = slow.recv(1000)
                if not more:
                    break
                told += more
            slow.sendall(b"x")
        else:
            raise AssertionError("it is still listened to")
    assert told.startswith(b"HTTP/1.0 408" if head else b"")
    assert not asked


@pytest.mark.parametrize("secure", [False, True])
def test_clients_that_say_nothing_keep_nobody_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, secure: bool
) -> None:
    """Of more than so many the oldest goes; who comes last is answered."""
    monkeypatch.setattr(http_server, "CONNECTIONS_MOST", 3)
    authority = Authority(tmp_path)
    pair = authority.issue("metrics")
    tls, trusting = (
        (server_context(pair.cert, pair.key), ssl.create_default_context(cafile=str(authority.ca)))
        if secure
        else (None, None)
    )
    with MonitoringServer(registry(), port=0, tls=tls) as server, ExitStack() as opened:
        silent = [opened.enter_context(socket.create_connection(("127.0.0.1", server.port), 10)) for _ in range(5)]
        assert ask(server, "/healthz", tls=trusting)[0] == 200
        for client in silent[:3]:
            assert client.recv(1) == b"", "it was hung up on"
        for client in silent[3:]:
            client.settimeout(0.05)
            with pytest.raises(TimeoutError):
                client.recv(1)


def test_so_many_posts_are_answered_at_once_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitoring, "POSTS_AT_ONCE", 2)
    begun, go_on = threading.Semaphore(0), threading.Event()

    def slow(_: bytes) -> tuple[int, Sequence[str]]:
        begun.release()
        assert go_on.wait(30)
        return 200, ["done"]

    with (
        MonitoringServer(registry(), port=0, posts={RELOAD_PATH: slow}) as server,
        ThreadPoolExecutor(2) as clients,
    ):
        waiting = [clients.submit(ask, server, RELOAD_PATH, method="POST") for _ in range(2)]
        try:
            assert all(begun.acquire(timeout=30) for _ in waiting)
            assert ask(server, RELOAD_PATH, method="POST")[:2] == (503, "2 are being answered: try again\n")
            assert ask(server, "/healthz")[0] == 200
        finally:
            go_on.set()
        assert [one.result()[0] for one in waiting] == [200, 200]
        assert ask(server, RELOAD_PATH, method="POST")[0] == 200, "there is room again"
