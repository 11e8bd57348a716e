"""What an operator is told of a setting that is wrong: what was found, what is allowed, what was probably meant."""

from collections.abc import Iterator
from typing import Any, Final

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from detector.config import Config
from detector.config_base import Secret
from detector.config_models import settings_at
from detector.config_nodes import find, place
from detector.wording import nearest

_WANTED: Final = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "datetime_from_date_parsing": "a time such as 2026-12-31T18:00:00Z",
    "datetime_parsing": "a time such as 2026-12-31T18:00:00Z",
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


def told(error: ValidationError, root: yaml.Node) -> str:
    """Every mistake in a line of its own, in the order in which they stand there, with the place."""
    marked = [(find(root, details["loc"])[0], _explain(details, model)) for details, model in _each(error, Config)]
    marked.sort(key=lambda one: (one[0].name, one[0].line))
    return "\n".join(f"{place(mark)}: {said}" for mark, said in marked)


def _each(error: ValidationError, model: type[BaseModel]) -> Iterator[tuple[ErrorDetails, type[BaseModel]]]:
    """The errors, those within others among them, and the model that each is about."""
    for one in error.errors():
        context = one.get("ctx", {})
        if one["type"] == "within":
            for inner, of in _each(context["error"], context["model"]):
                inner["ctx"] = {**inner.get("ctx", {}), "of": context["of"]}
                yield {**inner, "loc": (*one["loc"], *inner["loc"])}, of
        elif one["type"] == "at_key":
            yield {**one, "loc": (*one["loc"], *context["at"])}, model
        else:
            yield one, model


def _explain(error: ErrorDetails, model: type[BaseModel]) -> str:
    where = ".".join(str(part) for part in error["loc"])
    context: dict[str, Any] = error.get("ctx", {})
    if error["type"] in {"extra_forbidden", "invalid_key"}:
        *parents, unknown = error["loc"]
        allowed = settings_at(model, parents if model is Config else ())
        whose = f" of `{context['of']}`" if "of" in context else ""
        return f"`{where}` is not a setting{whose}; {nearest(str(unknown), allowed, 'known here:')}"
    if error["type"] == "missing":
        return f"`{where}` is missing"
    if error["type"] in {"value_error", "at_key"}:
        said = error["msg"].removeprefix("Value error, ")
        return f"`{where}`: {said}" if where else said  # it may be about two sections
    if context.get("class_name") == Secret.__name__:
        return f"`{where}` must say where the secret is kept, `env: NAME` or `file: PATH`, not the secret itself"
    wanted = _WANTED.get(error["type"]) or error["msg"].removeprefix("Input should be ")
    found = "nothing" if error["input"] is None else repr(error["input"])
    return f"`{where}` must be {wanted}, found {found}"
