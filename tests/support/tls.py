"""TLS in front of a server of the tests that speaks none."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from tests.support.certificates import Pair


@contextmanager
def tls_front(port: int, pair: Pair) -> Iterator[int]:
    """Speaks TLS with a certificate on a free port of loopback, given, and passes on what comes to `port`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.cert, pair.key)
    connections: list[socket.socket] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        thread = threading.Thread(target=_serve, args=(server, context, port, connections))
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in connections:
                _end(connection)


def _serve(server: socket.socket, context: ssl.SSLContext, port: int, connections: list[socket.socket]) -> None:
    while True:
        try:
            plain, _ = server.accept()
        except OSError:  # the end
            return
        try:
            near = context.wrap_socket(plain, server_side=True)
        except OSError:  # the client did not like the certificate
            plain.close()
            continue
        far = socket.create_connection(("127.0.0.1", port))
        connections += [near, far]
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    _end(source)
    _end(sink)


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
