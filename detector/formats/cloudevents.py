"""CloudEvents 1.0 in structured mode (JSON), alone or batched, around a message of any other format.

| event | CloudEvent |
| --- | --- |
| id | the message's own, so that a parent's is found; of one that says neither id nor time, `source`, `id`, its place |
| time | the message's own, else `time` |
| attributes | `source`, `id`, `type`, `subject` (no prose) as `ce_…`, and the format of what is in it, `ce_format` |
| all else | `data`: JSON, or JSON in a string; `data_base64` for bytes |

What is in it is recognised as `auto` does; where that fails, the words of `dataschema`, `type` and `source` are
asked for the name of a format, whose decoder then says what is wrong.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

from detector.events import Event, Reject
from detector.formats.audit import UNDATED, BadRecordError, digest, few, kept, parts_of, read, text, when
from detector.formats.auto import Auto
from detector.formats.parts import Decoded, Part, named
from detector.formats.values import BOM

_URI_REFERENCE: Final = re.compile(r"[^\s<>\"{}|\\^`]+")
_NO_PROSE: Final = re.compile(r"\S{1,256}")
_WORD: Final = re.compile(r"[a-z0-9]+")
_PROTOBUF: Final = frozenset({"application/protobuf", "application/x-protobuf", "application/vnd.google.protobuf"})
_NAMED: Final = {
    "native": "native",
    "cloudtrail": "cloudtrail",
    "kubernetes": "kubernetes",
    "k8s": "kubernetes",
    "gcp": "gcp_audit",
    "google": "gcp_audit",
    "okta": "okta",
    "github": "github",
    "ocsf": "ocsf",
    "otel": "otel",
    "otlp": "otel",
    "opentelemetry": "otel",
}
"""Words that name a format."""
_ID_MOST: Final = 512


class _CloudEvent(msgspec.Struct):
    specversion: str | None = None
    id: str | None = None
    source: str | None = None
    type: str | None = None
    datacontenttype: str | None = None
    dataschema: str | None = None
    subject: str | None = None
    time: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"null")
    data_base64: str | None = None


_DECODER: Final = msgspec.json.Decoder(_CloudEvent | list[msgspec.Raw])
_ONE: Final = msgspec.json.Decoder(_CloudEvent)


class CloudEvents:
    """Decodes CloudEvents around messages of the given formats.

    Args:
        formats: What decodes each, by name.
    """

    def __init__(self, formats: Mapping[str, Callable[[bytes], Decoded]]) -> None:
        self._formats = formats
        self._auto = Auto(formats)

    def decode(self, raw: bytes) -> Decoded:
        """The parts of what is in a CloudEvent, or in each of a batch.

        >>> [CloudEvents({}).decode(raw).reason for raw in (b"{}", b"no", b"")]
        ['wrong_shape', 'not_json', 'empty']
        """
        return read(raw, self._message)

    def _message(self, raw: bytes) -> Decoded:
        message = _DECODER.decode(raw)
        if isinstance(message, list):
            return self._of_several(message)
        return self._opened(message, raw)

    def _of_several(self, envelopes: list[msgspec.Raw]) -> tuple[Part, ...]:
        parts: list[Part] = []
        for envelope in few(envelopes):
            parts += parts_of(bytes(envelope), lambda raw: self._opened(_ONE.decode(raw), raw))
            few(parts)
        return tuple(parts)

    def _opened(self, envelope: _CloudEvent, raw: bytes) -> Decoded:
        source, key = _identity(envelope)
        time = when(envelope.time)
        inner = _data(envelope)
        decoded = self._decoded(envelope, inner)
        if isinstance(decoded, Reject):
            return Reject(decoded.reason, f"in its data: {decoded.detail}", raw)
        told = kept({"ce_source": text(source), "ce_id": text(key), "ce_type": text(envelope.type)})
        if envelope.subject and _NO_PROSE.fullmatch(envelope.subject):
            told["ce_subject"] = envelope.subject
        parts = []
        for place, part in enumerate(decoded):
            content, own = part.content, raw if part.raw == inner else part.raw
            if isinstance(content, Event):
                attributes = {**content.attributes, **told, "ce_format": part.format}
                name = content.id
                if UNDATED in attributes:  # nor do the same bytes mean the same event
                    name = _name(source, key, place)
                    if envelope.time:
                        del attributes[UNDATED]
                        content = msgspec.structs.replace(content, time=time)
                content = msgspec.structs.replace(content, id=name, attributes=attributes)
            parts.append(Part(content, own, "cloudevents"))
        return tuple(parts)

    def _decoded(self, envelope: _CloudEvent, inner: bytes) -> tuple[Part, ...] | Reject:
        kind = (envelope.datacontenttype or "").partition(";")[0].strip().lower()
        decode = self._formats.get("otel") if kind in _PROTOBUF else None
        name = "otel" if decode else ""
        found = decode(inner) if decode else self._auto.decode(inner)
        if isinstance(found, Reject) and found.reason == "unknown_format":
            name = next((name for name in _hints(envelope) if name in self._formats), "")
            found = self._formats[name](inner) if name else found
        if isinstance(found, Reject):
            return Reject(found.reason, f"{name}: {found.detail}" if name else found.detail, inner)
        return named(found, inner, name)


def _identity(envelope: _CloudEvent) -> tuple[str, str]:
    """The source and the id.

    Raises:
        BadRecordError: An attribute that every CloudEvent has is missing, or not what the specification says.
    """
    for name in ("specversion", "id", "source", "type"):
        if not getattr(envelope, name):
            raise BadRecordError(f"no CloudEvent: `{name}` is missing")
    if envelope.specversion != "1.0":
        raise BadRecordError(f"CloudEvents of version {text(envelope.specversion, 20)}; 1.0 is read")
    source = envelope.source or ""
    if not _URI_REFERENCE.fullmatch(source):
        raise BadRecordError(f"`source` is no URI reference: {source[:80]!r}")
    return source, envelope.id or ""


def _data(envelope: _CloudEvent) -> bytes:
    """What is in it, without the BOM that it may begin with.

    Raises:
        BadRecordError: Nothing is, or it is no base64.
    """
    data = bytes(envelope.data)
    if envelope.data_base64 is not None:
        if data != b"null":
            raise BadRecordError("both `data` and `data_base64`")
        try:
            return base64.b64decode(envelope.data_base64, validate=True).removeprefix(BOM)
        except (binascii.Error, ValueError) as error:
            raise BadRecordError(f"`data_base64` is no base64: {error}") from None
    if data == b"null":
        raise BadRecordError("a CloudEvent without data")
    return msgspec.json.decode(data, type=str).encode().removeprefix(BOM) if data.startswith(b'"') else data


def _name(source: str, key: str, place: int) -> str:
    """Unique: no source has a space or a bar in it."""
    name = f"{source}|{place} {key}" if place else f"{source} {key}"
    return name if len(name) <= _ID_MOST else f"cloudevent-{digest(name.encode())}"


def _hints(envelope: _CloudEvent) -> Iterator[str]:
    """The formats that its attributes name, those of the schema first."""
    told = f"{envelope.dataschema or ''} {envelope.type} {envelope.source}"
    yield from (_NAMED[word] for word in _WORD.findall(told.lower()) if word in _NAMED)
