"""Reading anchors that were kept outside of the store, and whether they are what was signed."""

from collections.abc import Iterable
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from detector.integrity.anchor import Anchor, read
from detector.store.proof import Problem


class Anchors(msgspec.Struct):
    """Anchors at hand.

    Attributes:
        signed: those whose signature holds.
        problems: of the others, and of the order of all.
        torn: lines that are no anchor: a crash may leave one at a time.
    """

    signed: list[Anchor] = []
    problems: list[Problem] = []
    torn: int = 0


def read_anchors(paths: Iterable[Path], key: Ed25519PublicKey) -> Anchors:
    """Anchors from files, one JSON object a line.

    Args:
        paths: the files. Each holds the anchors of a chain in the order in which they were made.
        key: what they must be signed with.

    Raises:
        OSError: a file can't be read.
    """
    found = Anchors()
    for path in paths:
        _read(path.name, path.read_bytes().splitlines(), key, found)
    return found


def _read(name: str, lines: Iterable[bytes], key: Ed25519PublicKey, found: Anchors) -> None:
    last: dict[str, str | None] = {}
    seen: set[str] = set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            signed = read(line)
        except msgspec.DecodeError:
            found.torn += 1
            continue
        anchor = signed.anchor
        if not signed.is_signed_by(key):
            found.problems.append(_problem(anchor, f"line {number} of {name} is not signed with this key"))
            last[anchor.chain] = None
            continue
        if anchor.hash() in seen:  # sent again by a writer that did not hear of it
            continue
        if last.get(anchor.chain, anchor.previous) not in {anchor.previous, None}:
            why = (
                f"line {number} of {name} does not follow the anchor before it: one was taken out, or they were swapped"
            )
            found.problems.append(_problem(anchor, why))
        seen.add(anchor.hash())
        last[anchor.chain] = anchor.hash()
        found.signed.append(anchor)


def _problem(anchor: Anchor, detail: str) -> Problem:
    return Problem(what="anchor", chain=anchor.chain, sequence=anchor.sequence, written_at=anchor.time, detail=detail)
