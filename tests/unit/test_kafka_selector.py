"""The selector of Kafka's clients: as the interpreter's, but that it describes no file that it does not know."""

import selectors
import socket
from collections.abc import Iterator
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

import pytest

from detector.kafka_open import open_client
from detector.kafka_selector import QuickSelector


class _Described(socket.socket):
    """A socket that must not be described."""

    def __repr__(self) -> str:
        raise AssertionError("it was described")


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    told = _Described(fileno=one.detach())
    with told, other:
        yield told, other


@pytest.fixture
def selector() -> Iterator[QuickSelector]:
    with QuickSelector() as quick:
        yield quick


def test_a_file_that_it_does_not_know_is_not_described(
    selector: QuickSelector, ends: tuple[socket.socket, socket.socket]
) -> None:
    for asked in (ends[0], ends[0].fileno()):
        with pytest.raises(KeyError, match="not registered"):
            selector.get_key(asked)


def test_it_tells_what_a_file_is_registered_with_and_forgets_it(selector: QuickSelector, ends: tuple[Any, Any]) -> None:
    file, other = ends
    assert selector.register(file, EVENT_READ, "first") == selector.get_key(file) == selector.get_map()[file]
    assert selector.modify(file, EVENT_READ | EVENT_WRITE, "second") == selector.get_key(file.fileno())
    assert (selector.get_key(file).data, selector.get_key(file).events) == ("second", EVENT_READ | EVENT_WRITE)
    other.send(b"x")
    ((key, events),) = selector.select(10)
    assert (key.data, events) == ("second", EVENT_READ | EVENT_WRITE)
    assert selector.unregister(file).data == "second"
    with pytest.raises(KeyError):
        selector.get_key(file)
    assert selector.register(file, EVENT_READ, "again") == selector.get_key(file)


def test_what_could_not_be_modified_is_not_known_any_more(selector: QuickSelector, ends: tuple[Any, Any]) -> None:
    file, _ = ends
    selector.register(file, EVENT_READ)
    number = file.detach()
    socket.close(number)
    with pytest.raises(OSError, match="Bad file"):
        selector.modify(number, EVENT_WRITE)
    with pytest.raises(KeyError):
        selector.get_key(number)


def test_one_that_was_closed_is_found_to_be_forgotten(selector: QuickSelector, ends: tuple[Any, Any]) -> None:
    """Else the next socket, which gets its number, would be taken for it."""
    file, _ = ends
    key = selector.register(file, EVENT_READ, "waits")
    file.close()
    assert selector.get_key(file) == key
    assert selector.unregister(file) == key
    with pytest.raises(KeyError):
        selector.get_key(key.fd)
    with pytest.raises(ValueError, match="Invalid file"):
        selector.get_key(file)


def test_all_clients_wait_by_it_unless_they_are_told_otherwise() -> None:
    class Made:
        def __init__(self, **config: Any) -> None:
            self.by = config["selector"]

    assert open_client(Made, {}).by is QuickSelector
    assert open_client(Made, {"selector": selectors.PollSelector}).by is selectors.PollSelector
