"""YAML files of `field: value` lines, as the recipes take them."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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
