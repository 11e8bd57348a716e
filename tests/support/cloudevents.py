"""Messages in CloudEvents' envelope."""

import base64
from typing import Any

import msgspec


def cloudevent(data: bytes, **attributes: Any) -> bytes:
    """One around `data`, as it stands; attributes of None are left out."""
    return _envelope(attributes)[:-1] + b',"data":' + data + b"}"


def cloudevent_of_text(data: str, **attributes: Any) -> bytes:
    """One with text as its data."""
    return cloudevent(msgspec.json.encode(data), **attributes)


def cloudevent_of_bytes(data: bytes, **attributes: Any) -> bytes:
    """One with bytes in base64."""
    return _envelope({**attributes, "data_base64": base64.b64encode(data).decode()})


def _envelope(attributes: dict[str, Any]) -> bytes:
    usual = {"specversion": "1.0", "id": "A-1", "source": "/agents/mover", "type": "example.acted"}
    given = usual | attributes
    return msgspec.json.encode({name: value for name, value in given.items() if value is not None})
