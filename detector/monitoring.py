"""/metrics, /healthz and /readyz over HTTP or HTTPS, and what a service may be asked for besides, by POST."""

import hmac
import ipaddress
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from socketserver import ThreadingMixIn
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import structlog
from prometheus_client import CollectorRegistry, make_wsgi_app

from detector.wording import printable

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

log = structlog.get_logger(__name__)

RELOAD_PATH: Final = "/-/reload"

Check = Callable[[], tuple[bool, Sequence[str]]]
"""Is it so? And when not, the reasons."""

Post = Callable[[bytes], tuple[int, Sequence[str]]]
"""What was sent -> a status of HTTP, and lines of text."""

NO_POSTS: Final[Mapping[str, Post]] = {}

# Of what is sent, so many bytes are read; more is refused.
BODY_MOST: Final = 64 << 10


def always() -> tuple[bool, Sequence[str]]:
    """Nothing to complain about."""
    return True, ()


class MonitoringServer:
    """Serves a registry and two probes from a thread of its own, until it is closed.

    `/healthz` answers 200 while the process does its work (else: restart it), `/readyz` while it can do it
    (else: don't count on it); otherwise 503 with the reasons, one a line. With a token, `/metrics` and the reasons
    are for those who send it (`Authorization: Bearer …`); the probes' status is for everybody, as kubelets send none.
    What is asked by POST is for those who send the token, and for this machine alone where none is asked for.

    Args:
        registry: what `/metrics` shows.
        address: address to listen on.
        port: port to listen on; 0 takes a free one, see `port`.
        healthy: the check behind `/healthz`; called on a server thread.
        ready: the check behind `/readyz`; called on a server thread.
        posts: what may be asked for by POST, by its path; called on a server thread.
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
        tls: ssl.SSLContext | None = None,
        token: str | None = None,
    ) -> None:
        app = _application(make_wsgi_app(registry), {"/healthz": healthy, "/readyz": ready}, token)
        app = _with_posts(app, posts, token)
        server = _Server6 if ":" in address else _Server
        try:
            self._server = make_server(address, port, app, server, _Handler)
        except OSError as error:
            raise OSError(error.errno, error.strerror, f"{address}:{port}") from error
        if tls is not None:
            # Not at accept, which is one thread's work for all: a client that says nothing would hold up the others.
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.address = address
        self.port: int = self._server.server_port
        """The port that is listened on."""
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


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - given by socketserver
        error = sys.exception()
        if isinstance(error, OSError):  # no TLS where TLS is spoken, a certificate that is not ours to like, a hang-up
            log.info("monitoring_client_gone", client=client_address[0], why=str(error))
        else:
            log.warning("monitoring_request_failed", client=client_address[0], exc_info=True)


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = 10  # seconds: a client that says nothing must not hold a thread for ever

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
        """Scrapes come every few seconds: not worth a line."""


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


def _with_posts(application: "WSGIApplication", posts: Mapping[str, Post], token: str | None) -> "WSGIApplication":
    def with_posts(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        post = posts.get(environ.get("PATH_INFO", ""))
        if post is None:
            return application(environ, start_response)
        if environ["REQUEST_METHOD"] != "POST":
            return _text(start_response, "405 Method Not Allowed", ["to be asked by POST"], [("Allow", "POST")])
        if token is not None and not _bears(environ, token):
            lines = ["a bearer token is asked for"]
            return _text(start_response, "401 Unauthorized", lines, [("WWW-Authenticate", "Bearer")])
        if token is None and not _is_local(environ):
            return _text(start_response, "403 Forbidden", ["from this machine only, or with a token (`metrics.token`)"])
        length = environ.get("CONTENT_LENGTH") or "0"
        if not length.isdecimal() or int(length) > BODY_MOST:
            return _text(start_response, "413 Content Too Large", [f"at most {BODY_MOST} bytes are read"])
        status, told = post(environ["wsgi.input"].read(int(length)))
        return _text(start_response, f"{status} {HTTPStatus(status).phrase}", told)

    return with_posts


def _is_local(environ: "WSGIEnvironment") -> bool:
    """Whether a program of this machine asks; not a page that somebody looks at in a browser here."""
    address = ipaddress.ip_address(environ["REMOTE_ADDR"].partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None) or address
    return mapped.is_loopback and "HTTP_ORIGIN" not in environ


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
