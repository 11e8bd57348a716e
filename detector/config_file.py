"""A YAML file -> a validated configuration, with errors that name the line, what was found and what is right."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from detector.config import Config
from detector.config_base import ConfigError, Secret

_WANTED: Final = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "datetime_from_date_parsing": "a time such as 2026-12-31T18:00:00Z",
    "datetime_type": "a time such as 2026-12-31T18:00:00Z",
    "dict_type": "a section of `name: value` lines",
    "float_parsing": "a number",
    "float_type": "a number",
    "frozen_set_type": "a list",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "model_type": "a section of `name: value` lines",
    "path_type": "a path",
    "string_type": "text",
    "too_short": "a list of one or more",
    "tuple_type": "a list",
}
"""What was wanted, by pydantic's name of the error, where its own words are those of a programmer."""


def load(path: Path | None) -> Config:
    """The configuration in `path`; the defaults if there is none.

    Raises:
        ConfigError: The file can't be read, is no YAML, or says something that is not allowed.
    """
    if path is None:
        return Config()
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not text in UTF-8 (byte {error.start})") from error
    return parse(text, str(path))


def parse(text: str, name: str) -> Config:
    """The configuration in a YAML text; `name` is what errors call it.

    Raises:
        ConfigError: It is no YAML, or says something that is not allowed.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text) if root is not None else {}
    except yaml.YAMLError as error:
        raise ConfigError(_not_yaml(name, error)) from error
    if root is not None:
        _refuse_repeats(root, name)
    if not isinstance(data, dict):
        raise ConfigError(f"{name}:1: a mapping of sections is wanted (kafka:, store:, …)")
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        lines = [f"{name}:{_line(root, e['loc'])}: {_explain(e)}" for e in error.errors()]
        raise ConfigError("\n".join(lines)) from None


def _not_yaml(name: str, error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"{name}:{error.problem_mark.line + 1}: not YAML: {error.problem}"
    return f"{name}: not YAML: {str(error).splitlines()[0]}"


def _refuse_repeats(node: yaml.Node, name: str) -> None:
    """A key given twice is a mistake; YAML's own reader would silently take the second."""
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                raise ConfigError(f"{name}:{line}: `{key.value}` stands here and on line {seen[key.value]}")
            seen[key.value] = line
            _refuse_repeats(value, name)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _refuse_repeats(value, name)


def _line(node: yaml.Node | None, loc: Sequence[str | int]) -> int:
    """The line of the deepest part of `loc` that stands in the file."""
    line = 1 if node is None else node.start_mark.line + 1
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            pair = next(((k, v) for k, v in node.value if k.value == str(part)), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line


def _explain(error: ErrorDetails) -> str:
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] in {"extra_forbidden", "invalid_key"}:
        *parents, unknown = error["loc"]
        allowed = _fields(Config, parents)
        near = difflib.get_close_matches(str(unknown), allowed, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(allowed)}"
        return f"`{where}` is not a setting; {hint}"
    if error["type"] == "missing":
        return f"`{where}` is missing"
    if error["type"] == "value_error":
        said = error["msg"].removeprefix("Value error, ")
        return f"`{where}`: {said}" if where else said  # it may be about two sections
    if error.get("ctx", {}).get("class_name") == Secret.__name__:
        return f"`{where}` must say where the secret is kept, `env: NAME` or `file: PATH`, not the secret itself"
    wanted = _WANTED.get(error["type"]) or error["msg"].removeprefix("Input should be ")
    found = "nothing" if error["input"] is None else repr(error["input"])
    return f"`{where}` must be {wanted}, found {found}"


def _fields(model: Any, path: Sequence[str | int]) -> list[str]:
    """Names of the settings of the section at `path`."""
    for part in path:
        field = model.model_fields.get(str(part)) if _is_model(model) else None
        if field is None:
            continue
        options = getattr(field.annotation, "__args__", (field.annotation,))
        model = next((option for option in options if _is_model(option)), model)
    return list(model.model_fields)


def _is_model(candidate: Any) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, BaseModel)
