"""YAML files and the environment -> a validated configuration that knows where each of its values came from."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import yaml
from pydantic import ValidationError

from detector import config_environment
from detector.config import Config
from detector.config_base import ConfigError
from detector.config_digests import with_digests
from detector.config_errors import told
from detector.config_nodes import compose, find, mark_of, place, plain, put_together

SUFFIXES: Final = (".yaml", ".yml")

_NO_FILE: Final = "the environment"


class Loaded(NamedTuple):
    """A configuration, and the tree that it was read from."""

    config: Config
    root: yaml.MappingNode

    def origin(self, path: Sequence[str | int]) -> str | None:
        """Where a setting's value came from: `detector.yaml:3` or the environment variable; None for the default."""
        mark, depth = find(self.root, path)
        return place(mark) if depth == len(path) else None


def load(path: Path | None) -> Config:
    """The configuration in a file, or in the files of a folder, and in the environment; else the defaults.

    Raises:
        ConfigError: A file can't be read, is no YAML, or says something that is not allowed.
    """
    return read(path, os.environ).config


def read(path: Path | None, environ: Mapping[str, str]) -> Loaded:
    """The same, with where each value came from.

    Args:
        path: A YAML file, or a folder: its `*.yaml` and `*.yml` files in the order of their names; None: no file.
        environ: Environment variables.

    Raises:
        ConfigError: As `load`.
    """
    if path is None:
        root = yaml.MappingNode("tag:yaml.org,2002:map", [], mark_of(_NO_FILE))
    elif path.is_dir():
        texts = ((str(file), _text(file)) for file in files(path))
        root = put_together((node for name, text in texts if (node := compose(text, name)) is not None), str(path))
    else:
        root = _root(_text(path), str(path))
    return _validated(config_environment.apply(root, environ))


def parse(text: str, name: str) -> Config:
    """The configuration in a YAML text; `name` is what errors call it. The environment has no part in it.

    Raises:
        ConfigError: It is no YAML, or says something that is not allowed.
    """
    return _validated(_root(text, name)).config


def files(folder: Path) -> list[Path]:
    """The files of a folder that are read, in order.

    Raises:
        ConfigError: There is none.
    """
    found = sorted(_candidates(folder), key=lambda file: file.name)
    if not found:
        raise ConfigError(f"{folder}: no {' or '.join(f'*{suffix}' for suffix in SUFFIXES)} file stands there")
    return found


def _candidates(folder: Path) -> Iterator[Path]:
    for file in folder.iterdir():
        if file.suffix in SUFFIXES and not file.name.startswith(".") and not file.is_dir():
            yield file


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not text in UTF-8 (byte {error.start})") from error


def _root(text: str, name: str) -> yaml.MappingNode:
    return compose(text, name) or yaml.MappingNode("tag:yaml.org,2002:map", [], mark_of(name))


def _validated(root: yaml.MappingNode) -> Loaded:
    data = plain(root)
    try:
        return Loaded(with_digests(Config.model_validate(data)), root)
    except ValidationError as error:
        raise ConfigError(told(error, root)) from None
