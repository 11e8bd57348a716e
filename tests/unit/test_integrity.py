"""The rules of deploy/clickhouse/INTEGRITY.md, against its test vectors and against a second implementation."""

import hashlib
import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from detector.integrity import chain
from detector.integrity.anchor import Signer, new_key, private_key, public_key, read
from detector.integrity.chain import NOTHING, Link, Members
from detector.integrity.digest import canonical, digest

DOCUMENT = (Path(__file__).parents[2] / "deploy" / "clickhouse" / "INTEGRITY.md").read_text(encoding="utf-8")
VECTORS = DOCUMENT.split("## Test vectors")[1].split("## What can't")[0]
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))

ROWS: dict[str, list[Any]] = {
    "time": [1772442000000000, 1772442001000000],
    "id": [b"f-1", "f-é".encode()],
    "score": [4.0, 0.5],
    "p_value": [0.0001, None],
    "entities": [[b"agent:a", b"thread:t"], []],
    "flag": [True, False],
}


def packed(value: Any) -> bytes:  # noqa: PLR0911 - one a form
    """Msgpack by its specification, in the shortest forms; written for this test, without a library."""
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return packed_int(value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, bytes):
        return sized(len(value), [(256, b"\xc4", ">B"), (65536, b"\xc5", ">H"), (2**32, b"\xc6", ">I")]) + value
    if isinstance(value, str):
        text = value.encode()
        if len(text) < 32:
            return bytes([0xA0 + len(text)]) + text
        return sized(len(text), [(256, b"\xd9", ">B"), (65536, b"\xda", ">H"), (2**32, b"\xdb", ">I")]) + text
    items = b"".join(map(packed, value))
    if len(value) < 16:
        return bytes([0x90 + len(value)]) + items
    return sized(len(value), [(65536, b"\xdc", ">H"), (2**32, b"\xdd", ">I")]) + items


def sized(size: int, forms: list[tuple[int, bytes, str]]) -> bytes:
    head, form = next((head, form) for most, head, form in forms if size < most)
    return head + struct.pack(form, size)


def packed_int(value: int) -> bytes:
    if -32 <= value < 128:
        return struct.pack(">b", value)
    forms = [(0xCC, ">B", 8), (0xCD, ">H", 16), (0xCE, ">I", 32), (0xCF, ">Q", 64)]
    if value < 0:
        forms = [(0xD0, ">b", 7), (0xD1, ">h", 15), (0xD2, ">i", 31), (0xD3, ">q", 63)]
    head, form, _ = next(one for one in forms if (value if value >= 0 else -value - 1) < 2 ** one[2])
    return bytes([head]) + struct.pack(form, value)


def sha(value: Any) -> str:
    return hashlib.sha256(packed(value)).hexdigest()


def vectors(pattern: str) -> list[str]:
    found = re.findall(pattern, VECTORS)
    assert found, pattern
    return found


def test_the_digest_of_the_vectors() -> None:
    written = "".join(line.strip() for line in vectors(r"(?m)^    [0-9a-f]+$"))
    pieces = [packed([column[row : row + 1] for column in ROWS.values()]) for row in range(2)]
    hashes = [hashlib.sha256(piece).digest() for piece in pieces]
    body = packed(["findings_data", list(ROWS), hashes])
    assert b"".join([*pieces, body]).hex() == written
    assert hashlib.sha256(body).hexdigest() == vectors(r"digest: `(\w{64})`")[0]
    assert digest("findings_data", ROWS, 1) == (hashlib.sha256(body).hexdigest(), "".join(h.hex()[:8] for h in hashes))


def test_the_chain_of_the_vectors() -> None:
    links = vectors(r"\| (?:begin|rows|void) \| \d+ \| `(\w{64})`")
    times = list(map(int, vectors(r"\| (?:begin|rows|void) \| (\d+) \|")))
    members = vectors(r"`(\{\"columns.*\})`")[0]
    hashed, hints = digest("findings_data", ROWS, 1)
    told = [
        [1, "w-1", 1, "begin", "", 0, "{}", NOTHING, NOTHING, times[0]],
        [1, "w-1", 2, "rows", "findings_data", 2, members, hashed, links[0], times[1]],
        [1, "w-1", 3, "void", "findings_data", 0, "{}", hashed, links[1], times[2]],
    ]
    assert list(map(sha, told)) == links
    about = Members(
        columns=tuple(ROWS), checks=hints, first=1772442000000000, last=1772442001000000,
        keys=((1772442000000000, "f-1"), (1772442001000000, "f-é")),
    )  # fmt: skip
    begin = chain.begin("w-1", NOTHING, {}, times[0])
    rows = chain.rows(chain.head_of(begin), "findings_data", 2, about, hashed, times[1])
    made = [begin, rows, chain.void(rows, times[2])]
    assert [link.link for link in made] == links
    assert rows.members == members
    assert rows.covered() == about


def test_the_anchor_of_the_vectors() -> None:
    line = vectors(r"(?m)^    (\{\"anchor.*\})$")[0].encode()
    head = chain.Head("w-1", 3, vectors(r"void \| \d+ \| `(\w{64})`")[0])
    signed = Signer(KEY).sign(head, 1772445660000000)
    assert signed.line() == line
    assert signed.anchor.hash() == vectors(r"hash of that anchor: `(\w{64})`")[0]
    told = json.loads(line)
    body = json.dumps(told["anchor"], sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(told["public_key"]))
    key.verify(bytes.fromhex(told["signature"]), body)
    assert hashlib.sha256(body).hexdigest() == signed.anchor.hash()
    assert read(line) == signed


values = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.binary(max_size=300)
edges = st.sampled_from([0, 31, 32, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, -32, -33, -128, -129, -(2**31)])


@given(st.lists(values | edges | st.lists(st.binary(max_size=40), max_size=20), max_size=70))
def test_any_column_is_digested_by_the_specification(column: list[Any]) -> None:
    pieces = [hashlib.sha256(packed([column[at : at + 32]])).digest() for at in range(0, len(column), 32)]
    assert digest("t", {"c": column}, 32).of_all == sha(["t", ["c"], pieces])


def test_texts_and_bytes_are_told_apart_from_numbers_and_nothing() -> None:
    one_each: list[list[Any]] = [[b"1"], [1], [1.0], [True], [None], [b""], [[]], [[b""]], [b"1", b""], []]
    assert len({digest("t", {"c": column}, 1) for column in one_each}) == len(one_each)
    told = [
        digest(table, columns, 1).of_all for table in "tu" for columns in ({"c": [1]}, {"d": [1]}, {"c": [1], "d": [1]})
    ]
    assert len(set(told)) == 6


def test_a_column_of_many_equal_texts_is_as_one_of_different_ones() -> None:
    texts = ["a", "é", ""] * 9
    assert canonical(texts) == [text.encode() for text in texts]
    assert canonical([("a", "b"), ()]) == [[b"a", b"b"], []]


@pytest.mark.parametrize("column", [["a", None], ["a", 1], [{}], [object()], [b"a", "a"]])
def test_what_has_no_canonical_form_is_refused(column: list[Any]) -> None:
    with pytest.raises(TypeError, match="no canonical form"):
        canonical(column)


def test_every_field_of_a_link_is_in_its_hash() -> None:
    fields = {"chain": "x", "sequence": 9, "kind": "void", "table": "t", "count": 1, "members": "{} ", "digest": "1",
              "previous": "2", "written_at": 1, "version": 2}  # fmt: skip
    link = chain.begin("w", NOTHING, {"events_data": 1}, 0)
    others = {
        Link(**{name: getattr(link, name) for name in fields} | {name: value}).hash() for name, value in fields.items()
    }
    assert len(others | {link.link}) == len(fields) + 1


def test_a_signature_is_of_one_anchor_and_one_key() -> None:
    signer = Signer(KEY)
    first = signer.sign(chain.Head("w", 1, NOTHING), 5)
    second = signer.sign(chain.Head("w", 2, NOTHING), 6)
    assert second.anchor.previous == first.anchor.hash()
    assert first.is_signed_by(KEY.public_key())
    assert not first.is_signed_by(Ed25519PrivateKey.generate().public_key())
    assert not type(first)(anchor=second.anchor, public_key=first.public_key, signature=first.signature).is_signed_by(
        KEY.public_key()
    )
    assert not type(first)(anchor=first.anchor, public_key="", signature="no hex").is_signed_by(KEY.public_key())


def test_keys_are_read_back() -> None:
    private, public = new_key()
    key = private_key(private)
    raw = key.public_key().public_bytes_raw()
    assert public_key(public).public_bytes_raw() == public_key(raw.hex().encode() + b"\n").public_bytes_raw() == raw


@pytest.mark.parametrize(
    "text", [b"", b"abc", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", b"\xff" * 64]
)
def test_what_is_no_key_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="not a public Ed25519 key"):
        public_key(text)
    with pytest.raises(ValueError, match="not a private Ed25519 key"):
        private_key(text)
