"""One piece of a checkpoint as bytes: what is small at its head, then rows, compressed chunk by chunk."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Final

import lz4.frame
import msgspec

_ENCODER: Final = msgspec.msgpack.Encoder()


class _Layout(msgspec.Struct, array_like=True):
    head: bytes
    chunks: list[bytes]


_LAYOUT: Final = msgspec.msgpack.Decoder(_Layout)
_ROWS: Final = msgspec.msgpack.Decoder(list[bytes])


class Piece:
    """A piece in the making: a whole state (`whole`), or what changed since the piece before it.

    Args:
        head: Plain data; it is read at once, so that it may change afterwards.
        whole: Whether nothing before it is needed.
    """

    def __init__(self, head: dict[str, Any], *, whole: bool) -> None:
        self.whole = whole
        self._head = lz4.frame.compress(_ENCODER.encode(head))
        self._chunks: list[bytes] = []

    def add(self, rows: Iterable[bytes]) -> None:
        """Put rows behind those there are."""
        self._chunks.append(lz4.frame.compress(_ENCODER.encode(list(rows))))

    def encode(self) -> bytes:
        """The piece's bytes."""
        return _ENCODER.encode(_Layout(self._head, self._chunks))


class Rows:
    """The rows of a piece, decompressed chunk by chunk each time they are gone through: together they are large."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = deque(chunks)

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            yield from _ROWS.decode(lz4.frame.decompress(chunk))

    def drain(self) -> Iterator[bytes]:
        """The rows, for the last time: each chunk is given up once it was read, to make room for what comes of it."""
        while self._chunks:
            yield from _ROWS.decode(lz4.frame.decompress(self._chunks.popleft()))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Part(msgspec.Struct, frozen=True):
    """A piece as it is read: its head as plain data, and its rows."""

    head: dict[str, Any]
    rows: Rows


def decode(payload: bytes) -> Part:
    """The piece in its bytes; they must be whole."""
    layout = _LAYOUT.decode(payload)
    return Part(msgspec.msgpack.decode(lz4.frame.decompress(layout.head)), Rows(layout.chunks))
