"""OTLP messages as an instrumented agent's exporter writes them, in JSON and in protobuf."""

import base64
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

START: Final = 1_772_442_000_000_000_000
AGENT: Final[Mapping[str, Any]] = {
    "gen_ai.agent.id": "agent-1",
    "gen_ai.agent.name": "assistant",
    "gen_ai.conversation.id": "s-1",
}


def any_value(value: Any) -> dict[str, Any]:
    """A Python value as OTLP has it; whole numbers as text, as the protobuf mapping of JSON asks."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [any_value(inner) for inner in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": pairs(value)}}
    return {"stringValue": value}


def pairs(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": any_value(value)} for key, value in values.items()]


def span(operation: str | None, number: int = 1, /, **attributes: Any) -> dict[str, Any]:
    """A span of `agent-1`; `number` is its id and the second that it starts in."""
    named = {"gen_ai.operation.name": operation} if operation else {}
    return {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": f"{number:016x}",
        "parentSpanId": "eee19b7ec3c1b173",
        "name": operation or "",
        "kind": 1,
        "startTimeUnixNano": str(START + number * 10**9),
        "endTimeUnixNano": str(START + number * 10**9 + 250_000_000),
        "attributes": pairs({**named, **AGENT, **attributes}),
        "status": {},
    }


def tool_span(tool: str, number: int = 1, /, parent: int | None = None, **changes: Any) -> dict[str, Any]:
    """An `execute_tool` span with the attributes that the conventions name for one, and none of any agent."""
    told = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.call.id": f"call_{number}",
        "gen_ai.tool.description": "A tool",
        "gen_ai.tool.name": tool,
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.arguments": '{"to": "ann@corp.example"}',
        "gen_ai.tool.call.result": '{"sent": true}',
    }
    above = {} if parent is None else {"parentSpanId": f"{parent:016x}"}
    return span(None, number) | above | {"name": f"execute_tool {tool}", "attributes": pairs({**told, **changes})}


def message(*spans: Mapping[str, Any], resource: Mapping[str, Any] | None = None) -> bytes:
    """An export request of one resource."""
    resource = {"service.name": "assistant", "deployment.environment.name": "prod"} if resource is None else resource
    scopes = [{"scope": {"name": "agent"}, "spans": list(spans)}]
    return msgspec.json.encode({"resourceSpans": [{"resource": {"attributes": pairs(resource)}, "scopeSpans": scopes}]})


def protobuf(request: bytes) -> bytes:
    """An export request in OTLP/JSON as protobuf, by the library's own reading of JSON."""
    written: bytes = json_format.ParseDict(
        _packed(msgspec.json.decode(request)), ExportTraceServiceRequest()
    ).SerializeToString()
    return written


def _packed(value: Any, field: str = "") -> Any:
    """With ids in base64, as the protobuf mapping of JSON has bytes."""
    if isinstance(value, dict):
        return {name: _packed(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_packed(inner) for inner in value]
    return base64.b64encode(bytes.fromhex(value)).decode() if field in {"traceId", "spanId", "parentSpanId"} else value
