"""Settings from the environment: `DETECTOR_KAFKA__BOOTSTRAP_SERVERS=a:9092,b:9092`, two underscores a level."""

from collections.abc import Mapping
from typing import Any, Final

import yaml

from detector.config import Config
from detector.config_base import ConfigError, Secret
from detector.config_models import is_list_of_text, is_text, may_be_none, section_of
from detector.config_nodes import mark_of, marked, set_at, tree
from detector.wording import nearest

PREFIX: Final = "DETECTOR_"

# Lists that let everybody in while they are empty, and what HTTPS is served with.
_OPEN_WHEN_EMPTY: Final = (
    ["feedback", "operators"],
    ["control", "issuers"],
    ["metrics", "cert_file"],
    ["metrics", "key_file"],
)

_NULL: Final = {"", "~", "null"}
_STR, _NONE, _SEQ = (f"tag:yaml.org,2002:{kind}" for kind in ("str", "null", "seq"))


def apply(root: yaml.MappingNode, environ: Mapping[str, str]) -> yaml.MappingNode:
    """The tree with what the environment sets: a value in place of the file's, a section in place of the whole of it.

    A variable counts if its name begins with `DETECTOR_` and goes on with the name of a section, or holds two
    underscores; others that begin so (a Kubernetes service called `detector` makes some) are none of ours.

    Raises:
        ConfigError: There is no setting of that name, the value is no YAML, or it is blank where that opens a door.
    """
    ours = [name for name in environ if name.startswith(PREFIX) and _is_ours(name)]
    for name in sorted(ours, key=lambda name: (name.count("__"), name)):
        path, annotation = _setting(name)
        if not environ[name].strip() and _guards(path, annotation):
            remedy = f"unset it, or write `{'null' if may_be_none(annotation) else '[]'}` if that is meant"
            raise ConfigError(f"{name} is set to nothing, which would leave `{'.'.join(path)}` open: {remedy}")
        root = set_at(root, path, _value(name, environ[name], annotation), mark_of(name))
    return root


def _guards(path: list[str], annotation: Any) -> bool:
    """Whether it keeps somebody out: a variable that was to be filled in and was not must not let them in."""
    return (section_of(annotation) is Secret and may_be_none(annotation)) or path in _OPEN_WHEN_EMPTY


def _is_ours(name: str) -> bool:
    rest = name.removeprefix(PREFIX)
    return rest.lower() in Config.model_fields or "__" in rest.strip("_")


def variable(path: list[str]) -> str:
    """The variable of a setting.

    >>> variable(["kafka", "group_id"])
    'DETECTOR_KAFKA__GROUP_ID'
    """
    return PREFIX + "__".join(path).upper()


def _setting(name: str) -> tuple[list[str], Any]:
    """The path of the setting that a variable names, and what it may be."""
    path: list[str] = []
    annotation: Any = Config
    for part in name.removeprefix(PREFIX).lower().split("__"):
        model = section_of(annotation)
        if model is None:
            why = f"has no settings of its own: write all of it to {variable(path)}, as YAML"
            raise ConfigError(f"{name}: `{'.'.join(path)}` {why}")
        field = model.model_fields.get(part)
        if field is None:
            hint = nearest(part, model.model_fields, "known here:")
            raise ConfigError(f"{name}: `{'.'.join([*path, part])}` is not a setting; {hint}")
        path.append(part)
        annotation = field.annotation
    return path, annotation


def _value(name: str, text: str, annotation: Any) -> yaml.Node:
    """The value as a node: text as it is where text is wanted, words between commas for a list, else YAML."""
    mark = mark_of(name)
    text = text.strip()
    if may_be_none(annotation) and text in _NULL:
        return yaml.ScalarNode(_NONE, "", mark)
    if is_text(annotation):
        return yaml.ScalarNode(_STR, text, mark)
    if is_list_of_text(annotation) and not text.startswith(("[", "-")):
        words = [word.strip() for word in text.split(",") if word.strip()]
        return yaml.SequenceNode(_SEQ, [yaml.ScalarNode(_STR, word, mark) for word in words], mark)
    root = tree(text, name)
    return yaml.ScalarNode(_NONE, "", mark) if root is None else marked(root, mark)
