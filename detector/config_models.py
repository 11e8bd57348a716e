"""Looking into the settings' models: which settings a section has, and what a setting may be."""

from collections.abc import Iterator, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel


def is_model(candidate: Any) -> bool:
    """Whether it is a section of settings."""
    return isinstance(candidate, type) and issubclass(candidate, BaseModel)


def options(annotation: Any) -> Iterator[Any]:
    """What a setting may be, one by one: the parts of a union, without what is only noted on them."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from options(get_args(annotation)[0])
    elif origin in {Union, UnionType}:
        for option in get_args(annotation):
            yield from options(option)
    else:
        yield annotation


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The section that a setting is; None if it is a value, or many."""
    return next((option for option in options(annotation) if is_model(option)), None)


def may_be_none(annotation: Any) -> bool:
    """Whether a setting may be left without a value."""
    return NoneType in options(annotation)


def is_text(annotation: Any) -> bool:
    """Whether a setting is text in any case, be it a path or a choice."""
    wanted = [option for option in options(annotation) if option is not NoneType]
    return all(
        get_origin(option) is Literal or (isinstance(option, type) and not is_model(option) and _reads_text(option))
        for option in wanted
    )


def _reads_text(option: type) -> bool:
    return option is str or hasattr(option, "__fspath__")


def is_list_of_text(annotation: Any) -> bool:
    """Whether a setting is a list of texts."""
    for option in options(annotation):
        if get_origin(option) in {tuple, frozenset, list}:
            return all(is_text(part) for part in get_args(option) if part is not ...)
    return False


def settings_at(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """Names of the settings of the section at a path; numbers and names of many are passed over."""
    for part in path:
        field = model.model_fields.get(str(part))
        if field is not None:
            model = section_of(field.annotation) or _of_many(field.annotation) or model
    return list(model.model_fields)


def _of_many(annotation: Any) -> type[BaseModel] | None:
    for option in options(annotation):
        found = next((part for part in get_args(option) if is_model(part)), None)
        if found is not None:
            model: type[BaseModel] = found
            return model
    return None
