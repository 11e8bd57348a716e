"""Which attributes may be kept as they are, and what is left of all others.

A table of keys and namespaces of the conventions that name things, count them or say where they run. What is not in it
is content, or may be: what people, models and tools said, what calls were told and gave back, secrets, and whatever
those who instrument agents in their own way put anywhere. Definitions and descriptions of tools are content too: they
are large, and their hash tells that they changed.
"""

import hashlib
import re
from functools import lru_cache
from typing import Any, Final

import msgspec


def _under(prefix: str, names: str) -> frozenset[str]:
    return frozenset(f"{prefix}.{name}" for name in names.split())


_CLEAR: Final = frozenset().union(
    _under("gen_ai", "system operation.name provider.name conversation.id data_source.id output.type token.type"),
    _under("gen_ai.agent", "id name version"),
    _under("gen_ai.tool", "name type call.id"),
    _under("gen_ai.prompt", "name version"),
    _under("gen_ai.evaluation", "name score.label score.value"),
    _under("gen_ai.request", "model choice.count encoding_formats frequency_penalty max_tokens presence_penalty seed"),
    _under("gen_ai.request", "temperature top_k top_p stream is_stream"),
    _under("gen_ai.response", "id model finish_reasons"),
    _under("gen_ai.workflow", "id name"),
    _under("mcp", "method.name session.id protocol.version tool.name resource.uri"),
    _under("jsonrpc", "request.id protocol.version"),
    _under("db", "system system.name operation.name operation.batch.size collection.name namespace query.summary"),
    _under("db.response", "status_code returned_rows"),
    _under("rpc", "system service method grpc.status_code jsonrpc.version jsonrpc.error_code"),
    _under("messaging", "system operation.name operation.type destination.name message.id batch.message_count"),
    _under("http", "request.method request.method_original request.body.size request.resend_count route"),
    _under("http", "response.status_code response.body.size method status_code flavor"),
    _under("error", "type"),
    _under("exception", "type escaped"),
    _under("url", "scheme domain port"),
    _under("process", "pid parent_pid runtime.name runtime.version owner executable.name"),
    _under("client", "address port"),
    _under("thread", "id name"),
    _under("session", "id previous_id"),
    {"user.id", "enduser.id", "user_agent.original", "user_agent.name", "user_agent.version"},
)
_NAMESPACES: Final = (
    *("gen_ai.usage.", "server.", "network.", "net.", "service.", "deployment.", "host.", "os.", "k8s.", "cloud."),
    *("container.id", "container.name", "container.image.", "container.runtime", "faas.", "aws.ecs.", "aws.lambda."),
    *("telemetry.", "otel."),
)
# Under these namespaces people and programs write what they like.
_FREE: Final = re.compile(r"\.(?:annotation|label|labels|command|command_line|command_args|args|tag)(?:\.|$)")
_INDEXED: Final = re.compile(r"gen_ai\.(?:prompt|completion)\.\d{1,4}\.(?:role|finish_reason)")

_SHORT: Final = 1 << 16


@lru_cache(maxsize=4096)
def is_content(key: str) -> bool:
    """Whether what stands under an attribute's key is, or may be, what was said, told or given back.

    >>> [is_content(key) for key in ("gen_ai.input.messages", "gen_ai.tool.call.result", "ai.toolCall.args", "note")]
    [True, True, True, True]
    >>> [is_content(key) for key in ("gen_ai.usage.input_tokens", "gen_ai.tool.name", "gen_ai.prompt.0.role")]
    [False, False, False]
    """
    if key in _CLEAR or _INDEXED.fullmatch(key):
        return False
    return not key.startswith(_NAMESPACES) or _FREE.search(key) is not None


def fingerprint(value: Any) -> tuple[int, str]:
    """Size in bytes and SHA-256 (hex) of a plain value: of bytes or a text's own, else of its plain JSON."""
    if isinstance(value, str):
        return _of_short(value) if len(value) <= _SHORT else _of_bytes(value.encode())
    return _of_bytes(value if isinstance(value, bytes) else msgspec.json.encode(value))


def _of_bytes(raw: bytes) -> tuple[int, str]:
    return len(raw), hashlib.sha256(raw).hexdigest()


# An event tells the same of a payload as its record, right after it; instructions and results come again.
@lru_cache(maxsize=64)
def _of_short(text: str) -> tuple[int, str]:
    return _of_bytes(text.encode())
