"""YAML files of `field: value` lines, as the recipes take them."""

import argparse
import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

from facelm.errors import FacelmError


def read_yaml(path: str | Path) -> Any:
    """The content of a YAML file (None of an empty one). Raises FacelmError when there is none or it is no YAML."""
    import yaml

    path = Path(path)
    if not path.is_file():
        raise FacelmError(f"there is no config file {path}; the ones that come with facelm are under recipes/")
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise FacelmError(f"{path} is not YAML: {str(error).splitlines()[0]}") from None


def check_fields(path: str | Path, content: Any, names: Sequence[str]) -> None:
    """Raises FacelmError unless the content of `path` is a mapping whose keys are all among `names`; it names an
    unknown key and the nearest one that exists.
    """
    if not isinstance(content, Mapping):
        raise FacelmError(f"{path} must hold `field: value` lines")
    for key in content:
        if key not in names:
            near = difflib.get_close_matches(str(key), names, n=1, cutoff=0.0)[0]
            raise FacelmError(f"{path}: unknown key '{key}'; the nearest one is '{near}'")


def parse_fields(description: str, arguments: Sequence[str], *classes: type) -> list[Any]:
    """One instance of each dataclass from `--config FILE` and `--field value`, which goes before the file.

    Raises FacelmError for an unknown field in the file, or a value that is not of a field's type.
    """
    fields = {f.name: (kind, get_type_hints(kind)[f.name]) for kind in classes for f in dataclasses.fields(kind)}
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", help="YAML file of `field: value` lines")
    for name in fields:
        parser.add_argument(f"--{name}")
    given = vars(parser.parse_args(arguments))
    path = given.pop("config")
    values: dict[str, Any] = {}
    if path:
        values = read_yaml(path) or {}
        check_fields(path, values, list(fields))
    values = values | {name: value for name, value in given.items() if value is not None}
    values = {name: _of_type(name, value, fields[name][1]) for name, value in values.items()}
    return [kind(**{n: v for n, v in values.items() if fields[n][0] is kind}) for kind in classes]


def _of_type(name: str, value: Any, kind: type) -> Any:
    try:
        return {"true": True, "false": False}[str(value).lower()] if kind is bool else kind(str(value))
    except (KeyError, ValueError):
        raise FacelmError(f"{name} is {value!r}: give a value of type {kind.__name__}") from None


def check_positive(config: Any, what: str, *names: str) -> None:
    """Raises FacelmError for the first of these fields of `config` that is not above 0; `what` it is a config of."""
    for name in names:
        if getattr(config, name) <= 0:
            raise FacelmError(f"{what}: {name} = {getattr(config, name)} must be positive")
