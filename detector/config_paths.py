"""The settings of a configuration one by one, each by the path to it."""

from collections.abc import Iterator, Mapping
from typing import Any

Path = tuple[str | int, ...]


def leaves(plain: Any, *, within_lists: bool = False, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Each setting and its value, from plain data; an empty section is a value.

    Args:
        plain: The configuration as plain data.
        within_lists: Whether the sections of a list are taken apart, too.
        path: Where the data stands.

    >>> list(leaves({"state": {"every": 5.0}, "mutes": [{"name": "m"}]}))
    [(('state', 'every'), 5.0), (('mutes',), [{'name': 'm'}])]
    >>> list(leaves({"mutes": [{"name": "m"}]}, within_lists=True))
    [(('mutes', 0, 'name'), 'm')]
    """
    if isinstance(plain, Mapping) and plain:
        for name, part in plain.items():
            yield from leaves(part, within_lists=within_lists, path=(*path, name))
    elif within_lists and isinstance(plain, list) and plain and all(isinstance(part, Mapping) for part in plain):
        for index, part in enumerate(plain):
            yield from leaves(part, within_lists=within_lists, path=(*path, index))
    else:
        yield path, plain


def dotted(path: Path) -> str:
    """A path as people write it.

    >>> dotted(("mutes", 0, "name"))
    'mutes.0.name'
    """
    return ".".join(map(str, path))
