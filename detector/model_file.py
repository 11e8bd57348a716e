"""A trained forest as a file: skops, no pickle, and the same bytes for the same forest.

skops warns that a scikit-learn tree from a file can crash the process that loads it: its node indices are
believed. So the file holds the numbers of the trees as plain arrays, which are checked before they are used;
nothing but arrays, numbers and names is let in, and no class of scikit-learn among them.
"""

import hashlib
import io
import json
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from detector.wording import printable
from models.forest import Forest, Nodes

FORMAT: Final = 1
MOST_BYTES: Final = 64 * 1024 * 1024
PROTOCOL: Final = 2

CARD_FILE: Final = "card.json"
"""The model's card, in the folder of the model."""

# Of skops' own long list of trusted types, those that a forest is made of, each with what loads it.
TRUSTED: Final = frozenset(
    {
        "builtins.dict (DictNode)",
        "builtins.list (ListNode)",
        "builtins.str (JsonNode)",
        "builtins.str (TypeNode)",
        "numpy.ndarray (NdArrayNode)",
    }
)
_SCHEMA: Final = "schema.json"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_WHOLE: Final = frozenset({"roots", "feature", "left", "right"})
_DAMAGED: Final = (zipfile.BadZipFile, zlib.error, struct.error, LookupError, EOFError, MemoryError, RuntimeError)
_WRONG: Final = (AttributeError, TypeError, ValueError)


class ModelError(Exception):
    """The file is no model that can be used; the message says why, and what to do about it."""


class _Level(msgspec.Struct):
    p: float


class _Comparison(msgspec.Struct):
    levels: list[_Level]


class _Card(msgspec.Struct):
    """What of a card decides whether its model may be used, and at which values of `p` it was compared."""

    sha256: str
    comparison: _Comparison | None = None


def dumps(forest: Forest) -> bytes:
    """The forest as the bytes of a skops file: the same for the same forest, on any day and any run."""
    import skops.io  # noqa: PLC0415 - it imports scikit-learn, which only those pay for who have a model

    names, threshold, held_out, norm, ranges, tail, lists = forest.snapshot()
    document = {
        "format": FORMAT,
        "names": names,
        "threshold": threshold,
        "held_out": held_out,
        "norm": norm,
        "ranges": np.array(ranges),
        "tail": np.array(tail),
        **{
            f"node_{name}": np.array(values, dtype=np.int32 if name in _WHOLE else np.float64)
            for name, values in zip(Nodes.__struct_fields__, lists, strict=True)
        },
    }
    return _repeatable(skops.io.dumps(document))


def loads(data: bytes, names: tuple[str, ...]) -> Forest:
    """The forest in the bytes of a file.

    Args:
        data: What `dumps` gave, or anything else.
        names: The features that the forest must have been trained on.

    Raises:
        ModelError: It holds a type that has no place in a forest, it is damaged, its trees lead nowhere, or
            it was trained on other features.
    """
    import skops.io  # noqa: PLC0415 - as above

    try:
        _audit(data)
        document = skops.io.loads(data, trusted=[])
        if document["format"] != FORMAT:
            raise ModelError(f"it has format {document['format']}, this program reads {FORMAT}: train it again")
        lists = [document[f"node_{name}"].tolist() for name in Nodes.__struct_fields__]
        state = [
            *(document[name] for name in ("names", "threshold", "held_out", "norm")),
            document["ranges"].tolist(),
            document["tail"].tolist(),
            lists,
        ]
        return Forest(names).restore(state)
    except (*_DAMAGED, *_WRONG) as error:
        raise ModelError(f"it is damaged, or no model of this program ({error}): train it again") from error


def read(path: str | Path, names: tuple[str, ...]) -> Forest:
    """The forest in a file, whatever is known of it.

    Raises:
        ModelError: The file can't be read, or `loads` refuses what is in it.
    """
    return _load(path, _bytes(path), names)


def read_carded(path: str | Path, names: tuple[str, ...]) -> tuple[Forest, bytes, bytes]:
    """The forest in a file, the file's bytes, and those of the card beside it, which is sure to be its own.

    Raises:
        ModelError: As `read`; or there is no card, it can't be read, or it is that of another file.
    """
    data = _bytes(path)
    card, _ = _card(path, data)
    return _load(path, data, names), data, card


def read_compared(path: str | Path, names: tuple[str, ...], p: float, sha256: str | None = None) -> Forest:
    """The forest in a file, if its card says how it compares with the running detectors at `p`, or a greater one.

    Args:
        path: The file.
        names: The features that the forest must have been trained on.
        p: The greatest tail probability that anybody is noted by.
        sha256: The file's digest as it was when the configuration was read, if it was.

    Raises:
        ModelError: As `read_carded`; or it was not compared, or another file came in the meantime.
    """
    data = _bytes(path)
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise ModelError(f"the model {path} was replaced while it was read: try again, once it is all there")
    _, card = _card(path, data)
    most = max((level.p for level in card.comparison.levels), default=0.0) if card.comparison is not None else 0.0
    if p > most:
        told = f"only with `p` up to {most:g}, and not with {p:g}" if most else "never"
        raise ModelError(
            f"the model {path} was {told} compared with the running detectors, so it can't be switched on: "
            f"`detector train --compare {path}`, on files of events or the event store, does it and writes it into "
            "the card"
        )
    return _load(path, data, names)


def _bytes(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ModelError(f"the model {path}: {error.strerror}: `detector train` writes one") from error


def _load(path: str | Path, data: bytes, names: tuple[str, ...]) -> Forest:
    try:
        return loads(data, names)
    except ModelError as error:
        raise ModelError(f"the model {path}: {error}") from error


def _card(path: str | Path, data: bytes) -> tuple[bytes, _Card]:
    """The card beside a model of these bytes, as it stands and as far as it decides."""
    beside = Path(path).parent / CARD_FILE
    try:
        body = beside.read_bytes()
        card = msgspec.json.decode(body, type=_Card)
    except OSError as error:
        raise ModelError(
            f"the model {path}: its card {beside}: {error.strerror}: put the one there that `detector train` wrote "
            "with it, or train it again"
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"the model {path}: its card {beside} can't be read ({error}): train it again") from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != card.sha256:
        raise ModelError(
            f"the model {path} has the SHA-256 {digest[:16]}…, and the card {beside} is of one with "
            f"{printable(card.sha256[:16])}…: put both there as `detector train` wrote them, or train it again"
        )
    return body, card


def _audit(data: bytes) -> None:
    """Refuse what is not made of trusted types alone, before anything of it is built."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(member.file_size for member in archive.infolist()) > MOST_BYTES:
            raise ModelError(f"it unpacks to more than {MOST_BYTES} bytes: no forest of this program is as large")
        schema = json.loads(archive.read(_SCHEMA))
    protocol = schema.get("protocol")
    if protocol != PROTOCOL:
        raise ModelError(f"it was written in protocol {protocol} of skops, not {PROTOCOL}: train it again")
    strange = sorted({_type_name(node) for node in _nodes(schema)} - TRUSTED)
    if strange:
        raise ModelError(f"it holds {', '.join(strange)}, which has no place in a forest: don't use this file")


def _type_name(node: dict[str, Any]) -> str:
    return f"{node.get('__module__')}.{node.get('__class__')} ({node.get('__loader__')})"


def _nodes(value: Any) -> list[dict[str, Any]]:
    """Every part of a schema that makes an object."""
    waiting, found = [value], []
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if part.keys() & {"__loader__", "__class__", "__module__", "__reduce__"}:
                found.append(part)
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
    return found


def _repeatable(data: bytes) -> bytes:
    """The same archive with what differs from run to run made even: addresses in memory, times of writing."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        schema = json.loads(archive.read(_SCHEMA))
        arrays = {name: archive.read(name) for name in archive.namelist() if name != _SCHEMA}
    numbers: dict[int, int] = {}
    members: dict[str, bytes] = {}
    for node in _nodes(schema):
        node["__id__"] = numbers.setdefault(node["__id__"], len(numbers) + 1)
        if "file" in node:
            renamed = f"{node['__id__']}.npy"
            members[renamed] = arrays[node["file"]]
            node["file"] = renamed
    members[_SCHEMA] = json.dumps(schema, indent=2).encode()
    even = io.BytesIO()
    with zipfile.ZipFile(even, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content)
    return even.getvalue()
