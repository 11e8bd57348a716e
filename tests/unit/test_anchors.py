"""Anchors: when they are made, where they are kept, and what is read back of them."""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detector.integrity.anchor import Signed, Signer, read
from detector.integrity.chain import Head
from detector.sinks.anchor_places import AnchorFile, AnchorWebhook
from detector.sinks.anchors import AnchorSink
from detector.sinks.base import Batch, SinkUnavailable
from detector.sinks.webhook import sign
from detector.store.anchors import Anchors, read_anchors
from tests.support.linked import KEY, Clock
from tests.support.receiver import Answer, running_receiver


def head(sequence: int, name: str = "w-1") -> Head:
    return Head(name, sequence, f"{sequence:064x}")


def anchors(*sequences: int, name: str = "w-1") -> list[Signed]:
    signer = Signer(KEY)
    return [signer.sign(head(sequence, name), sequence) for sequence in sequences]


class Shelf:
    """A place that can be away."""

    name = "shelf"

    def __init__(self) -> None:
        self.kept: list[Signed] = []
        self.away = False
        self.closed = 0

    def put(self, signed: Signed) -> None:
        if self.away:
            raise SinkUnavailable("away")
        self.kept.append(signed)

    def close(self) -> None:
        self.closed += 1

    @property
    def sequences(self) -> list[int]:
        return [signed.anchor.sequence for signed in self.kept]


class Anchored:
    """An anchor sink over two shelves, a head and a clock that the test moves."""

    def __init__(self) -> None:
        self.head: Head | None = None
        self.clock = Clock()
        self.shelves = Shelf(), Shelf()
        self.copies = Shelf()
        self.sink = AnchorSink(
            lambda: self.head, Signer(KEY), self.shelves, every=60.0, clock=self.clock, copy=lambda: self.copies
        )

    def tick(self, sequence: int | None, *, after: float) -> None:
        self.clock.now += after
        self.head = None if sequence is None else head(sequence)
        self.sink.tick()


def test_the_first_anchor_is_made_at_once_and_the_next_when_it_is_time() -> None:
    anchored = Anchored()
    for sequence, after in ((None, 0), (None, 100), (1, 1), (2, 1), (3, 57), (4, 2), (4, 100), (5, 1), (6, 59), (7, 1)):
        anchored.tick(sequence, after=after)
    assert anchored.shelves[0].sequences == anchored.copies.sequences == [1, 4, 5, 7]
    assert [signed.anchor.previous for signed in anchored.shelves[1].kept[1:]] == [
        signed.anchor.hash() for signed in anchored.shelves[1].kept[:-1]
    ]


def test_the_end_of_a_chain_is_anchored() -> None:
    anchored = Anchored()
    anchored.tick(1, after=1)
    anchored.head = head(9)
    anchored.sink.close()
    anchored.sink.close()
    assert anchored.shelves[0].sequences == [1, 9]
    assert [shelf.closed for shelf in (*anchored.shelves, anchored.copies)] == [1, 1, 1]
    with pytest.raises(ValueError, match="closed"):
        anchored.sink.write(Batch())


def test_a_place_that_is_away_gets_all_of_it_later_and_hinders_no_other() -> None:
    anchored = Anchored()
    first, second = anchored.shelves
    first.away = True
    for sequence in (1, 2, 3):
        with pytest.raises(SinkUnavailable, match="shelf: away"):
            anchored.tick(sequence, after=100)
    assert (first.sequences, second.sequences) == ([], [1, 2, 3])
    first.away = False
    anchored.tick(3, after=1)
    assert first.kept == second.kept
    second.away = True
    anchored.head = head(4)
    anchored.sink.close()
    assert first.sequences == [1, 2, 3, 4]


def test_nothing_is_anchored_of_a_chain_that_never_began() -> None:
    anchored = Anchored()
    anchored.tick(None, after=1)
    anchored.sink.close()
    assert anchored.shelves[0].sequences == anchored.copies.sequences == []


def test_a_file_is_private_and_grows_by_lines(tmp_path: Path) -> None:
    path = tmp_path / "anchors.ndjson"
    made = anchors(1, 5)
    for signed in made:
        AnchorFile(path).put(signed)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [read(line) for line in path.read_bytes().splitlines()] == made


def test_a_line_that_a_crash_tore_does_not_take_the_next_with_it(tmp_path: Path) -> None:
    path = tmp_path / "anchors.ndjson"
    made = anchors(1, 5)
    AnchorFile(path).put(made[0])
    path.write_bytes(path.read_bytes() + made[1].line()[:40])
    AnchorFile(path).put(made[1])
    found = read_anchors([path], KEY.public_key())
    assert (found.torn, found.problems) == (1, [])
    assert found.signed == [signed.anchor for signed in made]


def test_a_file_that_can_not_be_written_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(SinkUnavailable, match="No such file"):
        AnchorFile(tmp_path / "nowhere" / "anchors").put(anchors(1)[0])


def test_a_webhook_is_signed_and_asked_again_whatever_it_refuses() -> None:
    with running_receiver() as receiver:
        place = AnchorWebhook(f"http://127.0.0.1:{receiver.port}/notary", b"secret", clock=lambda: 1_760_000_000.0)
        (signed,) = anchors(3)
        receiver.answers = [Answer(status) for status in (500, 400, 204)]
        for _ in range(2):
            with pytest.raises(SinkUnavailable):
                place.put(signed)
        place.put(signed)
        place.close()
        request = receiver.requests[-1]
    assert read(request.body) == signed
    assert request.headers["x-detector-signature"] == sign(b"secret", "1760000000", request.body)
    assert {one.headers["x-detector-delivery"] for one in receiver.requests} == {signed.anchor.hash()}


def written(path: Path, lines: list[bytes]) -> Anchors:
    path.write_bytes(b"\n".join(lines) + b"\n")
    return read_anchors([path], KEY.public_key())


TAMPERED: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "altered": lambda lines: [lines[0], lines[1].replace(b'"sequence":5', b'"sequence":4'), *lines[2:]],
    "taken out": lambda lines: [lines[0], *lines[2:]],
    "swapped": lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
    "of another chain": lambda lines: [lines[0], lines[1].replace(b'"w-1"', b'"w-2"'), *lines[2:]],
    "signed anew": lambda lines: [lines[0], _signed_by_another(), *lines[2:]],
}


def _signed_by_another() -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    return Signer(Ed25519PrivateKey.generate()).sign(head(5), 5).line()


@pytest.mark.parametrize("how", list(TAMPERED))
def test_anchors_that_were_tampered_with_are_told(tmp_path: Path, how: str) -> None:
    lines = [signed.line() for signed in anchors(1, 5, 7, 9)]
    assert written(tmp_path / "a", lines).problems == []
    found = written(tmp_path / "a", TAMPERED[how](lines))
    assert {problem.what for problem in found.problems} == {"anchor"}
    assert "line" in found.problems[0].detail


def test_what_is_no_tampering_of_anchors(tmp_path: Path) -> None:
    one, other = anchors(1, 5, 7), anchors(2, 3, name="w-2")
    lines = [signed.line() for signed in (one[0], other[0], one[1], one[1], other[1], one[2])]
    assert written(tmp_path / "a", lines).problems == []
    assert len(written(tmp_path / "a", lines).signed) == 5
    assert written(tmp_path / "a", lines[2:]).problems == [], "the oldest of a topic are gone"
    assert written(tmp_path / "a", [b"", b"torn", *lines]).torn == 1


def test_a_message_of_kafka_is_an_anchor(monkeypatch: pytest.MonkeyPatch) -> None:
    from detector.sinks import anchor_places  # noqa: PLC0415

    sent: list[dict[str, Any]] = []

    class Future:
        def get(self, seconds: float) -> None:
            assert seconds > 0

    class Producer:
        def send(self, topic: str, **message: Any) -> Future:
            sent.append({"topic": topic, **message})
            return Future()

        def close(self, seconds: float) -> None:
            sent.append({"closed": seconds})

    monkeypatch.setattr(anchor_places, "open_producer", lambda *_: Producer())
    place = anchor_places.AnchorTopic({"bootstrap_servers": ["b:1"]}, "anchors")
    (signed,) = anchors(4)
    place.put(signed)
    place.close()
    assert sent == [{"topic": "anchors", "key": b"w-1", "value": signed.line()}, {"closed": 1.0}]
