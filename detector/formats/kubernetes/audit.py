"""The parts of an audit.k8s.io/v1 Event that are read, and what is read off them alone."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec

from detector.events import Outcome
from detector.formats.audit import when

T = TypeVar("T")

_STEPS_MOST: Final = 64
_NOTHING: Final = msgspec.Raw()


class User(msgspec.Struct):
    """Who authenticated (or whom they act as)."""

    username: str | None = None
    groups: list[str] | None = None
    extra: dict[str, Any] | None = None


class ObjectRef(msgspec.Struct, rename="camel"):
    """What the request was about; `resource` is the plural, as in RBAC rules."""

    resource: str | None = None
    namespace: str | None = None
    name: str | None = None
    api_group: str | None = None
    subresource: str | None = None


class ResponseStatus(msgspec.Struct):
    """How the API server answered: an HTTP code, and "Failure" where the code is missing."""

    code: int | None = None
    status: str | None = None


class Audit(msgspec.Struct, rename={"audit_id": "auditID", "request_uri": "requestURI", "source_ips": "sourceIPs"}):
    """One audit event. `objects` of requests and answers stay bytes until somebody needs a part of them."""

    kind: str | None = None
    api_version: str | None = msgspec.field(default=None, name="apiVersion")
    audit_id: str | None = None
    stage: str | None = None
    request_uri: str | None = None
    verb: str | None = None
    user: User | None = None
    impersonated_user: User | None = msgspec.field(default=None, name="impersonatedUser")
    source_ips: list[str] | None = None
    user_agent: str | None = msgspec.field(default=None, name="userAgent")
    object_ref: ObjectRef | None = msgspec.field(default=None, name="objectRef")
    response_status: ResponseStatus | None = msgspec.field(default=None, name="responseStatus")
    request_object: msgspec.Raw = msgspec.field(default=_NOTHING, name="requestObject")
    response_object: msgspec.Raw = msgspec.field(default=_NOTHING, name="responseObject")
    received: str | None = msgspec.field(default=None, name="requestReceivedTimestamp")
    staged: str | None = msgspec.field(default=None, name="stageTimestamp")
    annotations: dict[str, Any] | None = None
    shipped: str | int | float | None = msgspec.field(default=None, name="timestamp")

    @property
    def resource(self) -> str:
        """The plural and the subresource: `pods/exec`."""
        ref = self.object_ref
        if ref is None or not ref.resource:
            return ""
        return f"{ref.resource}/{ref.subresource}" if ref.subresource else ref.resource

    @property
    def rehearsal(self) -> bool:
        """A dry run: checked and answered, and nothing took place."""
        return "dryRun=" in (self.request_uri or "")

    @property
    def outcome(self) -> Outcome:
        """Denied by authentication or authorisation; failed by any other code from 400."""
        status = self.response_status or ResponseStatus()
        code = status.code or 0
        if code in {401, 403} or (self.annotations or {}).get("authorization.k8s.io/decision") == "forbid":
            return "denied"
        return "failure" if code >= 400 or status.status == "Failure" or self.stage == "Panic" else "success"

    @property
    def time(self) -> datetime:
        """When the request came, in UTC; `audit.EPOCH` if nothing tells.

        Raises:
            BadRecordError: It is no time.
        """
        return when(self.received or self.staged or self.shipped)

    def written(self, shape: type[T]) -> T | None:
        """The object that the request carries, of a patch its changed part; None where it is not logged.

        A JSON patch becomes the part of an object that it writes; what it removes is in `removed`.

        Raises:
            UnicodeDecodeError: Not UTF-8.
        """
        raw = bytes(self.request_object)
        if not raw or raw == b"null":
            return None
        try:
            if raw.lstrip().startswith(b"["):
                operations = msgspec.json.decode(raw, type=list[_Operation])
                return msgspec.convert(_part([each for each in operations if each.op in {"add", "replace"}]), shape)
            return msgspec.json.decode(raw, type=shape)
        except msgspec.ValidationError:
            return None

    def answered(self, shape: type[T]) -> T | None:
        """The object that came back; None where it is not logged or is another's (a Status)."""
        raw = bytes(self.response_object)
        if not raw or raw == b"null":
            return None
        try:
            return msgspec.json.decode(raw, type=shape)
        except msgspec.ValidationError:
            return None

    def removed(self) -> tuple[str, ...]:
        """The paths that a JSON patch takes away."""
        raw = bytes(self.request_object)
        if not raw.lstrip().startswith(b"["):
            return ()
        try:
            operations = msgspec.json.decode(raw, type=list[_Operation])
        except msgspec.ValidationError:
            return ()
        return tuple(each.path for each in operations if each.op == "remove")


class _Operation(msgspec.Struct):
    op: str = ""
    path: str = ""
    value: Any = None


def _part(operations: list[_Operation]) -> dict[str, Any]:
    """What a JSON patch writes, as a part of the object: an index becomes a list of the values written.

    >>> _part([_Operation("add", "/subjects/-", {"name": "a"}), _Operation("add", "/metadata/labels/x~1y", "1")])
    {'subjects': [{'name': 'a'}], 'metadata': {'labels': {'x/y': '1'}}}
    """
    whole: dict[str, Any] = {}
    for each in operations:
        steps = list(_steps(each.path))[:_STEPS_MOST]
        if steps:
            _put(whole, steps, each.value)
        elif isinstance(each.value, dict):
            whole = each.value
    return whole


def _put(whole: dict[str, Any], steps: list[str], value: Any) -> None:
    place: Any = whole
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        inner: Any = value if following is None else [] if _is_index(following) else {}
        if isinstance(place, list):
            if following is not None and place and isinstance(place[-1], type(inner)):
                inner = place[-1]
            else:
                place.append(inner)
        elif following is None or not isinstance(place.get(step), type(inner)):
            place[step] = inner
        else:
            inner = place[step]
        place = inner


def _steps(path: str) -> Iterator[str]:
    for step in path.split("/")[1:]:
        yield step.replace("~1", "/").replace("~0", "~")


def _is_index(step: str) -> bool:
    return step == "-" or step.isdecimal()
