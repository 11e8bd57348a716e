"""/metrics, /healthz and /readyz over HTTP."""

import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from socketserver import ThreadingMixIn
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import structlog
from prometheus_client import CollectorRegistry, make_wsgi_app

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

log = structlog.get_logger(__name__)

Check = Callable[[], tuple[bool, Sequence[str]]]
"""Is it so? And when not, the reasons."""


def always() -> tuple[bool, Sequence[str]]:
    """Nothing to complain about."""
    return True, ()


class MonitoringServer:
    """Serves a registry and two probes from a thread of its own, until it is closed.

    `/healthz` answers 200 while the process does its work (else: restart it), `/readyz` while it can do it
    (else: don't count on it); otherwise 503 with the reasons, one a line. There is no authentication: listen
    on loopback, or where only the monitoring comes.

    Args:
        registry: what `/metrics` shows.
        address: address to listen on.
        port: port to listen on; 0 takes a free one, see `port`.
        healthy: the check behind `/healthz`; called on a server thread.
        ready: the check behind `/readyz`; called on a server thread.

    Raises:
        OSError: the address can't be listened on.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        address: str = "127.0.0.1",
        port: int = 9464,
        *,
        healthy: Check = always,
        ready: Check = always,
    ) -> None:
        app = _application(make_wsgi_app(registry), {"/healthz": healthy, "/readyz": ready})
        server = _Server6 if ":" in address else _Server
        try:
            self._server = make_server(address, port, app, server, _Handler)
        except OSError as error:
            raise OSError(error.errno, error.strerror, f"{address}:{port}") from error
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
        log.warning("monitoring_request_failed", client=client_address[0], exc_info=True)


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = 10  # seconds: a client that says nothing must not hold a thread for ever

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
        """Scrapes come every few seconds: not worth a line."""


def _application(metrics: "WSGIApplication", checks: dict[str, Check]) -> "WSGIApplication":
    def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            return metrics(environ, start_response)
        check = checks.get(path)
        if check is None:
            return _text(start_response, "404 Not Found", ["/metrics", *checks])
        good, reasons = check()
        return _text(start_response, "200 OK" if good else "503 Service Unavailable", reasons or ["ok"])

    return application


def _text(start_response: "StartResponse", status: str, lines: Iterable[str]) -> list[bytes]:
    body = "".join(f"{line}\n" for line in lines).encode()
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    start_response(status, headers)
    return [body]
