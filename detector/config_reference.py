"""The configuration's reference, from the settings themselves: what the README shows."""

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from detector.config import Config
from detector.config_base import Secret


def reference() -> str:
    """A Markdown table: every setting by its dotted name, its default, what it does."""
    rows = [f"| `{name}` | {default} | {text} |" for name, default, text in _rows(Config, "")]
    return "\n".join(["| setting | default | what it does |", "| --- | --- | --- |", *rows])


def _rows(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str]]:
    for name, field in model.model_fields.items():
        dotted = f"{prefix}{name}"
        section = _section(field.annotation)
        if section is None:
            yield dotted, _default(field), _text(field)
            continue
        below, inner = section
        if not _is_always_there(field):
            yield dotted, "none", _text(field)
        yield from _rows(inner, f"{dotted}.{below}")


def _section(annotation: Any) -> tuple[str, type[BaseModel]] | None:
    """(what stands before its settings' names, its model) if the setting is a section, or many by name or number."""
    options = get_args(annotation) if get_origin(annotation) in {Union, UnionType} else (annotation,)
    for option in options:
        inner = get_args(option)
        if get_origin(option) is dict and _is_model(inner[1]):
            return "NAME.", inner[1]
        if get_origin(option) is tuple and _is_model(inner[0]):
            return "N.", inner[0]
        if _is_model(option) and option is not Secret:
            return "", option
    return None


def _is_always_there(field: FieldInfo) -> bool:
    return isinstance(field.default, BaseModel)


def _is_model(candidate: Any) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, BaseModel)


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "to be given"
    if field.default is None:
        return "none"
    if isinstance(field.default, tuple | frozenset):
        return ", ".join(f"`{item}`" for item in field.default) or "empty"
    if isinstance(field.default, dict):
        return ", ".join(f"`{key}: {value}`" for key, value in field.default.items()) or "empty"
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


def _text(field: FieldInfo) -> str:
    choices = [option for option in (field.annotation, *get_args(field.annotation)) if get_origin(option) is Literal]
    text = (field.description or "").replace("|", "\\|")
    if any(option is Secret for option in (field.annotation, *get_args(field.annotation))):
        return f"{text} As `env: NAME` or `file: PATH`."
    if choices and NoneType not in choices:
        return f"{text} One of {', '.join(f'`{choice}`' for choice in get_args(choices[0]))}."
    return text
