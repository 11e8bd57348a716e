"""/metrics, /healthz and /readyz over HTTP or HTTPS, and what a service may be asked for besides, by POST."""

import hmac
import ipaddress
import ssl
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self
from wsgiref.simple_server import make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from detector.http_server import REQUEST_SECONDS, Handler, Server, Server6
from detector.wording import printable

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

RELOAD_PATH: Final = "/-/reload"

Check = Callable[[], tuple[bool, Sequence[str]]]
"""Is it so? And when not, the reasons."""

Post = Callable[[bytes], tuple[int, Sequence[str]]]
"""What was sent -> a status of HTTP, and lines of text."""

NO_POSTS: Final[Mapping[str, Post]] = {}

# Of what is sent, so many bytes are read; more is refused. A length of more digits is none that is worth reading.
BODY_MOST: Final = 64 << 10
LENGTH_DIGITS: Final = 9

# What is asked by POST may wait, for Kafka or for a stage: so many at once do, and no more.
POSTS_AT_ONCE: Final = 8

# Headers of browsers and of proxies: whoever asks through these may be anywhere.
_FOR_OTHERS: Final = ("HTTP_ORIGIN", "HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP", "HTTP_VIA")


def always() -> tuple[bool, Sequence[str]]:
    """Nothing to complain about."""
    return True, ()


class MonitoringServer:
    """Serves a registry and two probes from a thread of its own, until it is closed.

    `/healthz` answers 200 while the process does its work (else: restart it), `/readyz` while it can do it
    (else: don't count on it); otherwise 503 with the reasons, one a line. With a token, `/metrics` and the reasons
    are for those who send it (`Authorization: Bearer …`); the probes' status is for everybody, as kubelets send none.
    What is asked by POST is for those who send the token, and for programs of this machine alone where none is asked
    for; a proxy here speaks for others, so what it passes on is refused then. A client has 10 s for its request;
    of more than 64 at once the one that has been there for longest goes, so that probes are always answered.

    Args:
        registry: what `/metrics` shows.
        address: address to listen on.
        port: port to listen on; 0 takes a free one, see `port`.
        healthy: the check behind `/healthz`; called on a server thread.
        ready: the check behind `/readyz`; called on a server thread.
        posts: what may be asked for by POST, by its path; called on a server thread.
        only_with_token: those paths of `posts` that nobody may ask for where there is no token, not even from here.
        tls: the context to serve HTTPS with; None serves HTTP.
        token: the bearer token; None asks for none.

    Raises:
        OSError: the address can't be listened on.
    """

    def __init__(  # noqa: PLR0913 - one a page or a setting
        self,
        registry: CollectorRegistry,
        address: str = "127.0.0.1",
        port: int = 9464,
        *,
        healthy: Check = always,
        ready: Check = always,
        posts: Mapping[str, Post] = NO_POSTS,
        only_with_token: Collection[str] = (),
        tls: ssl.SSLContext | None = None,
        token: str | None = None,
    ) -> None:
        app = _application(make_wsgi_app(registry), {"/healthz": healthy, "/readyz": ready}, token)
        app = _with_posts(app, posts, only_with_token, token)
        server = Server6 if ":" in address else Server
        try:
            self._server = make_server(address, port, app, server, Handler)
        except OSError as error:
            raise OSError(error.errno, error.strerror, f"{address}:{port}") from error
        if tls is not None:
            # Not at accept, which is one thread's work for all: a client that says nothing would hold up the others.
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.address = address
        self.port: int = self._server.server_port
        """The port that is listened on."""
        self.where = f"{address}:{self.port}"
        """What is listened on."""
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="monitoring", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening; may be called twice."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def server_context(cert_file: Path, key_file: Path) -> ssl.SSLContext:
    """TLS 1.2 or newer with a certificate (PEM, with its chain) and its key.

    Raises:
        OSError: They can't be read, or don't belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert_file, key_file)
    except OSError as error:
        why = error.strerror or str(error)
        raise OSError(
            error.errno, f"the metrics' certificate or its key can't be used: {why}", str(cert_file)
        ) from error
    return context


def _application(metrics: "WSGIApplication", checks: dict[str, Check], token: str | None) -> "WSGIApplication":
    def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        known = token is None or _bears(environ, token)
        if path == "/metrics":
            if known:
                return metrics(environ, start_response)
            lines = ["a bearer token is asked for"]
            return _text(start_response, "401 Unauthorized", lines, [("WWW-Authenticate", "Bearer")])
        check = checks.get(path)
        if check is None:
            return _text(start_response, "404 Not Found", ["/metrics", *checks])
        good, reasons = check()
        status = "200 OK" if good else "503 Service Unavailable"
        return _text(start_response, status, reasons if reasons and known else ["ok" if good else "no"])

    return application


def _with_posts(
    application: "WSGIApplication", posts: Mapping[str, Post], only_with_token: Collection[str], token: str | None
) -> "WSGIApplication":
    room = threading.BoundedSemaphore(POSTS_AT_ONCE)

    def with_posts(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        post = posts.get(path)
        if post is None:
            return application(environ, start_response)
        refused = _refusal(environ, token, needed=path in only_with_token)
        if refused is not None:
            refusal, line, headers = refused
            return _text(start_response, refusal, [line], headers)
        length = environ.get("CONTENT_LENGTH") or "0"
        if not length.isdecimal() or len(length) > LENGTH_DIGITS or int(length) > BODY_MOST:
            return _text(start_response, "413 Content Too Large", [f"at most {BODY_MOST} bytes are read"])
        try:
            body = environ["wsgi.input"].read(int(length))
        except TimeoutError:
            return _text(start_response, "408 Request Timeout", [f"{REQUEST_SECONDS} s are enough for a request"])
        if not room.acquire(blocking=False):
            return _text(start_response, "503 Service Unavailable", [f"{POSTS_AT_ONCE} are being answered: try again"])
        try:
            status, told = post(body)
        finally:
            room.release()
        return _text(start_response, f"{status} {HTTPStatus(status).phrase}", told)

    return with_posts


def _refusal(
    environ: "WSGIEnvironment", token: str | None, *, needed: bool
) -> tuple[str, str, list[tuple[str, str]]] | None:
    """Why a client may not ask: status, line and headers; None if it may."""
    if environ["REQUEST_METHOD"] != "POST":
        return "405 Method Not Allowed", "to be asked by POST", [("Allow", "POST")]
    if token is not None:
        known = _bears(environ, token)
        return None if known else ("401 Unauthorized", "a bearer token is asked for", [("WWW-Authenticate", "Bearer")])
    if needed:
        return "403 Forbidden", "only with a token: set `metrics.token`, and send it", []
    return (
        None
        if _is_local(environ)
        else ("403 Forbidden", "from this machine only, or with a token (`metrics.token`)", [])
    )


def _is_local(environ: "WSGIEnvironment") -> bool:
    """Whether a program of this machine asks for itself: no page that somebody looks at here, no proxy for others."""
    address = ipaddress.ip_address(environ["REMOTE_ADDR"].partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None) or address
    return mapped.is_loopback and not any(name in environ for name in _FOR_OTHERS)


def _bears(environ: "WSGIEnvironment", token: str) -> bool:
    given = environ.get("HTTP_AUTHORIZATION", "")
    return hmac.compare_digest(given.encode("latin-1", "replace"), f"Bearer {token}".encode())


def _text(
    start_response: "StartResponse", status: str, lines: Iterable[str], headers: Iterable[tuple[str, str]] = ()
) -> list[bytes]:
    body = "".join(f"{printable(line)}\n" for line in lines).encode()
    kind = [("Content-Type", "text/plain; charset=utf-8"), ("X-Content-Type-Options", "nosniff")]
    start_response(status, [*kind, ("Content-Length", str(len(body))), *headers])
    return [body]
