"""Messages that hold several JSON values, one a line or one right behind the other, and those that begin with a BOM.

Delivery services that buffer (Firehose, log shippers) put records together so. A format need not know of it.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final

import msgspec

from detector.events import Reject
from detector.formats.audit import MAX_BYTES, MAX_RECORDS, TooManyRecordsError, few
from detector.formats.parts import Decoded, each_alone
from detector.formats.repair import repaired

BOM: Final = b"\xef\xbb\xbf"
_TRAILING: Final = re.compile(r"trailing characters \(byte (\d+)\)")
_VALUE: Final = msgspec.json.Decoder(msgspec.Raw)
_MAY_HOLD_SEVERAL: Final = frozenset({"not_json", "not_utf8"})


def of_values(decode: Callable[[bytes], Decoded]) -> Callable[[bytes], Decoded]:
    r"""A decoder of messages, made of one of single JSON values.

    >>> def one(raw: bytes) -> Decoded:
    ...     return () if raw.strip() == b"{}" else Reject("not_json", "no", raw)
    >>> of_values(one)(b"{}\n{}{}"), of_values(one)(b"{} {").__class__, of_values(one)(b"{").reason
    ((), <class 'tuple'>, 'not_json')
    """

    def decoded(raw: bytes) -> Decoded:
        own = raw.removeprefix(BOM)
        found = decode(own)
        if not isinstance(found, Reject):
            return found
        if found.reason in _MAY_HOLD_SEVERAL and len(own) <= MAX_BYTES:
            try:
                values = _first_values(own) or _first_values(repaired(own))
            except TooManyRecordsError as error:
                return Reject("too_large", str(error), raw)
            if values:
                return tuple(part for value in values for part in each_alone(decode(value), value))
        return Reject(found.reason, found.detail, raw)

    return decoded


def _first_values(raw: bytes) -> Sequence[bytes]:
    return few(tuple(islice(_values(raw), MAX_RECORDS + 1)))


def _values(raw: bytes) -> Iterator[bytes]:
    """The values of a message that begins with an object or a list and goes on behind it; else none.

    Behind one that is none, each line counts as one: no byte is looked at often, whatever they are.
    """
    start = _end(raw, 0) if raw.lstrip()[:1] in {b"{", b"["} else 0
    if not start:
        return
    yield raw[:start]
    while end := _end(raw, start):
        yield raw[start:end]
        start = end
    try:
        _VALUE.decode(memoryview(raw)[start:])
    except (msgspec.DecodeError, RecursionError):
        yield from filter(bytes.strip, _lines(raw, start))
    else:
        yield raw[start:]


def _lines(raw: bytes, start: int) -> Iterator[bytes]:
    while start < len(raw):
        end = raw.find(b"\n", start) + 1 or len(raw)
        yield raw[start:end]
        start = end


def _end(raw: bytes, start: int) -> int:
    """Where the value ends that begins there and has another behind it; 0 if it is none, or the last."""
    try:
        _VALUE.decode(memoryview(raw)[start:])
    except msgspec.DecodeError as error:
        found = _TRAILING.search(str(error))
        return start + int(found[1]) - 1 if found else 0
    except RecursionError:
        pass
    return 0
