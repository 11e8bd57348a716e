"""Which attributes hold content: what people, models and tools said, and what calls were told and gave back.

By the words of their keys, so that the forms that the GenAI conventions had, the attributes of those who instrument
agents in their own way, and what comes next are known alike: `gen_ai.input.messages`, `gen_ai.prompt.0.content`,
`mcp.request.argument.city`, `traceloop.entity.input`, `db.query.text`. Definitions of tools are content too: they are
large, and their hash tells that they changed.
"""

import hashlib
import re
from functools import lru_cache
from typing import Any, Final

import msgspec

_WORDS: Final = re.compile(r"[^a-z0-9]+")
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Whatever stands under these is what a call was told or gave back.
_CARRYING: Final = _set(
    "argument arguments args kwargs param params parameter parameters result results header headers variable"
    " variables metadata"
)
# Under these is what was said, unless the key ends with a word of `_ABOUT`: gen_ai.prompt.0.role, input_tokens.
_SAID: Final = _set(
    "prompt prompts completion completions message messages content contents input inputs output outputs text body"
    " question answer query queries document documents instruction instructions definition definitions functions"
    " calls choice choices context contexts transcript thought thoughts thinking reasoning statement template"
    " explanation stacktrace object payload data"
)
_ABOUT: Final = _set(
    "id ids name role type format kind count size length bytes token tokens reason reasons version model index score"
)
_CLOSING: Final = frozenset({"request", "response"})
_ALSO: Final = _set("url.full http.url http.target process.command process.command_line process.command_args")
_HARMLESS: Final = frozenset({"db.query.summary"})


@lru_cache(maxsize=4096)
def is_content(key: str) -> bool:
    """Whether what stands under an attribute's key is, or may hold, what was said, told or given back.

    >>> [is_content(key) for key in ("gen_ai.input.messages", "gen_ai.tool.call.result", "ai.toolCall.args")]
    [True, True, True]
    >>> [is_content(key) for key in ("gen_ai.usage.input_tokens", "gen_ai.tool.name", "gen_ai.prompt.0.role")]
    [False, False, False]
    """
    if key in _ALSO or key in _HARMLESS:
        return key in _ALSO
    words = [word for word in _WORDS.split(_HUMP.sub("_", key).lower()) if word]
    if not _CARRYING.isdisjoint(words):
        return True
    last = words[-1] if words else ""
    return last in _CLOSING or (last not in _ABOUT and not _SAID.isdisjoint(words))


def fingerprint(value: Any) -> tuple[int, str]:
    """Size in bytes and SHA-256 (hex) of a plain value: of bytes or a text's own, else of its plain JSON."""
    if isinstance(value, str):
        value = value.encode()
    raw = value if isinstance(value, bytes) else msgspec.json.encode(value)
    return len(raw), hashlib.sha256(raw).hexdigest()
