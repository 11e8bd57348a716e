"""YAML texts as trees whose every node knows where it stands: composed, put together, looked up."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import yaml

from detector.config_base import ConfigError

# The line of what stands in no file.
NOWHERE: Final = -1


_INT: Final = "tag:yaml.org,2002:int"
_FLOAT: Final = "tag:yaml.org,2002:float"
_DEEP: Final = "too many brackets or sections within one another"


class _Loader(yaml.SafeLoader):
    """PyYAML's safe reader without the numbers that nobody expects: `010` is not eight, nor `1:30` ninety.

    What looks like a number or a time, or is tagged as one, and is none is told by its line.
    """

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """A value, or an error with its line."""
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, TypeError, AttributeError, LookupError, OverflowError) as error:
            what = node.value if isinstance(node, yaml.ScalarNode) else "this"
            kind = node.tag.rpartition(":")[2]
            if kind == "timestamp":
                told = f"there is no such time as {what}: {error}"
            else:
                told = f"{what!r} can't be read as {_KINDS.get(kind, kind)}"
            raise ConfigError(f"{place(node.start_mark)}: {told}") from None


_KINDS: Final = {"int": "a whole number", "float": "a number", "bool": "true or false"}

_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in {_INT, _FLOAT}]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    _INT, re.compile(r"[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|0b[01_]+)\Z"), list("-+0123456789")
)
_Loader.add_implicit_resolver(
    _FLOAT,
    re.compile(r"(?:[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+][0-9]+)?|[-+]?\.(?i:inf)|\.(?i:nan))\Z"),
    list("-+0123456789."),
)


def mark_of(name: str) -> yaml.Mark:
    """A place that has a name and no lines: a folder, an environment variable."""
    return yaml.Mark(name, 0, NOWHERE, 0, None, 0)


def place(mark: yaml.Mark) -> str:
    """A place as errors begin with it: `detector.yaml:3`, or a name alone."""
    return mark.name if mark.line == NOWHERE else f"{mark.name}:{mark.line + 1}"


def compose(text: str, name: str) -> yaml.MappingNode | None:
    """The sections in a text; None of one that says nothing.

    Raises:
        ConfigError: It is no YAML, no mapping, or has a key twice.
    """
    root = tree(text, name)
    if root is not None and not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{name}:1: a mapping of sections is wanted (kafka:, store:, …)")
    return root


def tree(text: str, name: str) -> yaml.Node | None:
    """Any YAML; raises as `compose`."""
    loader = _Loader(text)
    loader.name = name
    try:
        root: yaml.Node | None = loader.get_single_node()
        if root is not None:
            _refuse_repeats(root, ())
    except yaml.YAMLError as error:
        raise ConfigError(_not_yaml(name, error)) from error
    except RecursionError:
        raise ConfigError(f"{name}: {_DEEP}") from None
    return root


def plain(root: yaml.Node) -> Any:
    """The tree as plain data. Merge keys (`<<`) are resolved in the tree, too.

    Raises:
        ConfigError: A value is not what its tag or its looks say.
    """
    try:
        return _Loader("").construct_document(root)
    except yaml.YAMLError as error:
        raise ConfigError(_not_yaml(root.start_mark.name, error)) from error
    except RecursionError:
        raise ConfigError(f"{root.start_mark.name}: {_DEEP}") from None


def _not_yaml(name: str, error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"{place(error.problem_mark)}: not YAML: {error.problem}"
    return f"{name}: not YAML: {str(error).splitlines()[0]}"


def _refuse_repeats(node: yaml.Node, within: tuple[int, ...]) -> None:
    """A key given twice is a mistake; YAML's own reader would silently take the second."""
    if id(node) in within:
        raise ConfigError(f"{place(node.start_mark)}: an alias holds itself")
    within = (*within, id(node))
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError(f"{place(key.start_mark)}: a name is wanted before the colon")
            if key.value in seen:
                raise ConfigError(f"{place(key.start_mark)}: `{key.value}` stands here and on line {seen[key.value]}")
            seen[key.value] = line
            _refuse_repeats(value, within)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _refuse_repeats(value, within)


def put_together(roots: Iterable[yaml.MappingNode], name: str) -> yaml.MappingNode:
    """One tree of several: sections are joined, lists of sections follow one another, nothing else may stand twice.

    Raises:
        ConfigError: A setting stands in two of them.
    """
    whole = yaml.MappingNode("tag:yaml.org,2002:map", [], mark_of(name))
    for root in roots:
        whole = _joined(whole, root, "")
    return whole


def _joined(first: yaml.MappingNode, second: yaml.MappingNode, prefix: str) -> yaml.MappingNode:
    pairs = {key.value: (key, value) for key, value in first.value}
    for key, value in second.value:
        if key.value not in pairs:
            pairs[key.value] = key, value
            continue
        known, before = pairs[key.value]
        dotted = f"{prefix}{key.value}"
        if isinstance(before, yaml.MappingNode) and isinstance(value, yaml.MappingNode):
            pairs[key.value] = known, _joined(before, value, f"{dotted}.")
        elif _of_sections(before) and _of_sections(value):
            both = yaml.SequenceNode(before.tag, [*before.value, *value.value], before.start_mark)
            pairs[key.value] = known, both
        else:
            raise ConfigError(f"{place(key.start_mark)}: `{dotted}` stands here and in {place(known.start_mark)}")
    return yaml.MappingNode(first.tag, list(pairs.values()), first.start_mark)


def _of_sections(node: yaml.Node) -> bool:
    return isinstance(node, yaml.SequenceNode) and all(isinstance(item, yaml.MappingNode) for item in node.value)


def set_at(root: yaml.MappingNode, path: Sequence[str], value: yaml.Node, mark: yaml.Mark) -> yaml.MappingNode:
    """The tree with another value at a path; what is missing on the way to it stands at `mark`."""
    key = yaml.ScalarNode("tag:yaml.org,2002:str", path[0], mark)
    if len(path) > 1:
        below = next((node for known, node in root.value if known.value == path[0]), None)
        if isinstance(below, yaml.MappingNode):
            key = next(known for known, _ in root.value if known.value == path[0])
        else:
            below = yaml.MappingNode("tag:yaml.org,2002:map", [], mark)
        value = set_at(below, path[1:], value, mark)
    others = [(known, node) for known, node in root.value if known.value != path[0]]
    return yaml.MappingNode(root.tag, [*others, (key, value)], root.start_mark)


def marked(node: yaml.Node, mark: yaml.Mark) -> yaml.Node:
    """The tree, every node of which stands at `mark`."""
    node.start_mark = mark
    for below in _children(node):
        marked(below, mark)
    return node


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from (key, value)
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


def find(root: yaml.Node, path: Sequence[str | int]) -> tuple[yaml.Mark, int]:
    """Where the deepest part of a path stands, and how many of its parts are there."""
    node, mark, depth = root, root.start_mark, 0
    for part in path:
        if isinstance(node, yaml.MappingNode):
            # What a merge key brought in stands before what was written out, which counts.
            pair = next(((key, value) for key, value in reversed(node.value) if key.value == str(part)), None)
            if pair is None:
                break
            mark, node = pair[0].start_mark, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            mark = node.start_mark
        else:
            break
        depth += 1
    return mark, depth
