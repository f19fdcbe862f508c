"""A YAML file as keys and values, read without the surprises of YAML 1.1: each is one line that names its key.

Refused: a key that stands twice (YAML takes the last one and says nothing), a whole number with a leading zero (it is
read as octal: `port: 0104` is 68), and numbers with colons (`10:30` is 630).
"""

import re
from pathlib import Path
from typing import Any

import yaml

from node.errors import ConfigurationError

OCTAL = re.compile(r"[-+]?0[0-9_]+")
SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")


class _Surprise(Exception):
    """What the file says is not what its writer means."""


def read(path: Path) -> dict[str, Any]:
    """The content of this file; an empty one has no keys. Raises ConfigurationError."""
    try:
        with path.open(encoding="utf-8") as file:
            content = yaml.load(file, _Loader) or {}  # noqa: S506 - a safe loader, with less in it
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except _Surprise as error:
        raise ConfigurationError(f"{path}: {error}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: is not YAML: {_in_one_line(error)}") from error
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path}: must hold keys and values, like the sample config.yaml")
    return {str(key): value for key, value in content.items()}


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())


class _Loader(yaml.SafeLoader):
    """The safe loader, which says where a surprise stands."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._place: list[str] = []

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Refuse what stands twice; the values are made here, so that an error knows its key."""
        self._refuse_repeated(node)
        self.flatten_mapping(node)
        found: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            self._place.append(str(key_node.value))
            found[self.construct_object(key_node, deep=True)] = self.construct_object(value_node, deep=True)
            self._place.pop()
        return found

    def _refuse_repeated(self, node: Any) -> None:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _Surprise(f"line {key_node.start_mark.line + 1}: a key that is no word")
            if key_node.value in seen:
                named = ".".join([*self._place, key_node.value])
                raise _Surprise(f"{named}: stands twice, again in line {key_node.start_mark.line + 1}")
            seen.add(key_node.value)

    def whole_number(self, node: Any) -> Any:
        """A number as it is meant."""
        text = self.construct_scalar(node)
        if OCTAL.fullmatch(text):
            raise _Surprise(f"{'.'.join(self._place)}: {text} would be read as octal: write it without leading zeros")
        if SEXAGESIMAL.fullmatch(text):
            raise _Surprise(f"{'.'.join(self._place)}: {text} would be read in sixties: put it in quotation marks")
        return self.construct_yaml_int(node)

    def fraction(self, node: Any) -> Any:
        """A number as it is meant."""
        text = self.construct_scalar(node)
        if SEXAGESIMAL.fullmatch(text):
            raise _Surprise(f"{'.'.join(self._place)}: {text} would be read in sixties: put it in quotation marks")
        return self.construct_yaml_float(node)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.whole_number)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.fraction)
_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.construct_mapping)
