"""A real HTTP server on loopback that writes down what is posted to it and answers as it is told."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Received(NamedTuple):
    """One request: its path, its headers by lower-case name, its body."""

    path: str
    headers: dict[str, str]
    body: bytes


class Answer(NamedTuple):
    """What to answer: status, headers, body."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class Receiver:
    """Answers POSTs from a list of answers, then with 200."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.requests: list[Received] = []
        self.answers: list[Answer] = []
        self.hung_up = threading.Event()
        """Set when a client did not wait for the end of an answer."""
        self._changed = threading.Condition()

    def take(self, request: Received) -> Answer:
        """Write a request down; the next answer."""
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
            return self.answers.pop(0) if self.answers else Answer()

    def wait_until(self, enough: Callable[[list[Received]], bool], timeout: float = 20.0) -> list[Received]:
        """The requests, once there are enough.

        Raises:
            AssertionError: there were not after `timeout` seconds.
        """
        with self._changed:
            came = self._changed.wait_for(lambda: enough(self.requests), timeout)
            assert came, f"what came within {timeout} s is not enough: {self.requests}"
            return list(self.requests)


@contextmanager
def running_receiver() -> Iterator[Receiver]:
    """A receiver on a free port of loopback, for the time of the block."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length", 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = receiver.take(Received(self.path, headers, self.rfile.read(length)))
            self.send_response(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            try:
                self.wfile.write(answer.body)
            except ConnectionError:
                receiver.hung_up.set()
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, request: Any, client_address: Any) -> None:
            if not isinstance(sys.exc_info()[1], ConnectionError):  # a client that was killed is no news
                super().handle_error(request, client_address)

    server = Server(("127.0.0.1", 0), Handler)
    receiver = Receiver(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
