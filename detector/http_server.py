"""The HTTP server under the monitoring pages: a thread a connection, and bounds for all that a client may do to it."""

import io
import socket
import sys
import threading
import time
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import structlog

log = structlog.get_logger(__name__)

REQUEST_SECONDS: Final = 10
CONNECTIONS_MOST: Final = 64


class Server(ThreadingMixIn, WSGIServer):
    """Serves each connection from a thread of its own, `CONNECTIONS_MOST` of them at most.

    For one more, the one that has been there for longest has to go. Who asks in order needs milliseconds, so it is one
    that says nothing or too slowly; were the new one refused, clients that say nothing could keep the probes out, and
    have the process restarted.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._open: dict[socket.socket, None] = {}
        self._changing = threading.Lock()
        super().__init__(*args, **kwargs)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin a thread for a connection that came in."""
        with self._changing:
            if len(self._open) >= CONNECTIONS_MOST:
                self._dismiss(next(iter(self._open)))
            self._open[request] = None
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection that was answered, or that failed."""
        with self._changing:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def _dismiss(self, oldest: socket.socket) -> None:
        """End a connection under the thread that waits for it: which then finds it closed, and ends."""
        del self._open[oldest]
        try:
            socket.socket.shutdown(oldest, socket.SHUT_RDWR)  # of TLS, too: nothing is said in the clear instead
        except OSError:
            return  # it just ended
        log.info("monitoring_client_dismissed", why=f"{CONNECTIONS_MOST} others came after it")

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - given by socketserver
        """Log what a client did, without a trace where it is nothing of ours."""
        error = sys.exception()
        if isinstance(error, OSError):  # no TLS where TLS is spoken, a certificate that is not ours to like, a hang-up
            log.info("monitoring_client_gone", client=client_address[0], why=str(error))
        else:
            log.warning("monitoring_request_failed", client=client_address[0], exc_info=True)


class Server6(Server):
    """The same on an IPv6 address."""

    address_family = socket.AF_INET6


class _Until(io.RawIOBase):
    """Reads a connection up to a moment, however little comes each time.

    Args:
        connection: What is read.
        seconds: How long it may take, all in all.
    """

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds
        self._until = time.monotonic() + seconds

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """What came, into a buffer: the bytes of it.

        Raises:
            TimeoutError: The moment is over.
        """
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request took too long")
        self._connection.settimeout(left)
        try:
            return self._connection.recv_into(buffer)
        finally:
            self._connection.settimeout(self._seconds)  # the answer has as long


class Handler(WSGIRequestHandler):
    """Reads one request, within `REQUEST_SECONDS`: a byte now and then must not hold a thread for ever."""

    timeout = REQUEST_SECONDS

    def setup(self) -> None:
        """Bound the time for the whole of the request."""
        super().setup()
        self.rfile.close()
        self.rfile = io.BufferedReader(_Until(self.connection, self.timeout))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
        """Scrapes come every few seconds: not worth a line."""
