"""Any of the formats, each message recognised on its own by what stands at its top: see `signs`.

Of a list, and of the answer of Google's `entries.list`, each element is recognised alone. What is not JSON and
begins as an export request does in protobuf is taken for OTLP. No decoder is tried to see whether it fits, but
for that last one, so that a message of a format is refused by this one, for what is wrong with it.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import msgspec

from detector.events import Reject
from detector.formats.audit import few, parts_of, read
from detector.formats.parts import Decoded, Part, named
from detector.formats.signs import PROTOBUF, SIGNS, Keys, sign_of

_TOP: Final = msgspec.json.Decoder(dict[str, msgspec.Raw] | list[msgspec.Raw])
_ENTRIES: Final = msgspec.json.Decoder(list[msgspec.Raw])
_FIRST_FIELD: Final = b"\n"
"""How protobuf begins whose first field is a message of number 1."""
_KEYS_TOLD: Final = 12
_KNOWN: Final = ", ".join(sorted({sign.format for sign in SIGNS}))


class Recognised(NamedTuple):
    """The format of a message, "" for a list of messages, and what it was recognised by."""

    format: str
    told: str


def recognise(raw: bytes) -> Recognised | Reject:
    """What a message is, for a person: `Auto` does the same while it decodes."""
    return read(raw, _recognised)


def _recognised(raw: bytes) -> Recognised | Reject:
    try:
        top = _TOP.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if raw[:1] != _FIRST_FIELD:
            raise
        return Recognised("otel", PROTOBUF)
    if isinstance(top, list):
        return Recognised("", "a list, each element on its own")
    sign = sign_of(top)
    return unknown(raw, top) if sign is None else Recognised(sign.format, sign.told)


def unknown(raw: bytes, keys: Keys) -> Reject:
    """The reject of a message that has no sign of any format."""
    seen = ", ".join(key[:40] for key in list(keys)[:_KEYS_TOLD])
    more = f" and {len(keys) - _KEYS_TOLD} more" if len(keys) > _KEYS_TOLD else ""
    told = f"its keys are {seen}{more}" if keys else "it has no keys"
    return Reject("unknown_format", f"{told}; known are {_KNOWN}: see `detector formats`", raw)


class Auto:
    """Decodes messages of any of the given formats.

    Args:
        formats: What decodes each, by name.
    """

    def __init__(self, formats: Mapping[str, Callable[[bytes], Decoded]]) -> None:
        self._formats = formats

    def decode(self, raw: bytes) -> Decoded:
        """The parts of a message, each with the format that it was recognised as.

        >>> [Auto({}).decode(raw).reason for raw in (b"{}", b"no", b"")]
        ['unknown_format', 'not_json', 'empty']
        """
        return read(raw, self._message)

    def _message(self, raw: bytes) -> Decoded:
        try:
            top = _TOP.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            found = self._formats["otel"](raw) if raw[:1] == _FIRST_FIELD and "otel" in self._formats else None
            if not isinstance(found, tuple):
                raise
            return named(found, raw, "otel")
        return self._of_several(top) if isinstance(top, list) else self._by_sign(top, raw)

    def _of_several(self, records: list[msgspec.Raw]) -> tuple[Part, ...]:
        parts: list[Part] = []
        for record in few(records):
            parts += parts_of(bytes(record), self._record)
            few(parts)
        return tuple(parts)

    def _record(self, raw: bytes) -> Decoded:
        top = _TOP.decode(raw)
        return Reject("wrong_shape", "a list within a list", raw) if isinstance(top, list) else self._by_sign(top, raw)

    def _by_sign(self, top: Keys, raw: bytes) -> Decoded:
        sign = sign_of(top)
        if sign is None or sign.format not in self._formats:
            return unknown(raw, top)
        if sign.format == "gcp_audit" and "entries" in top:  # those of GKE are another format's
            return self._of_several(_ENTRIES.decode(top["entries"]))
        decoded = self._formats[sign.format](raw)
        return decoded if isinstance(decoded, Reject) else named(decoded, raw, sign.format)
