"""Objects from files that people write: YAML with several documents, or JSON; read as an API server would read them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tidegate.api.problems import shown

SUFFIXES = (".yaml", ".yml", ".json")
STANDARD_INPUT = Path("-")
"""The name under which standard input is read, as kubectl does."""
LONGEST_NAME = 253
"""Characters of an object's name that an API server allows."""
MOST_EXACT = 2**53
"""Up to here every whole number is a float."""


class UnreadableError(Exception):
    """A file that cannot be read or is no YAML; the message names the file and the place."""


@dataclass(frozen=True, slots=True)
class Document:
    """One object of a file."""

    file: str
    """The file's name as it was given."""
    index: int
    """Its place in the file, from 1."""
    content: Any

    @property
    def kind(self) -> str:
        """The kind it says it is, or an empty text."""
        kind = self.content.get("kind") if isinstance(self.content, dict) else None
        return kind if isinstance(kind, str) else ""

    @property
    def name(self) -> str:
        """Its name, fit to be printed, or its place in the file when it has none."""
        metadata = self.content.get("metadata") if isinstance(self.content, dict) else None
        name = metadata.get("name") if isinstance(metadata, dict) else None
        return shown(name, LONGEST_NAME) if isinstance(name, str) and name else f"document {self.index}"


class _Loader(yaml.SafeLoader):
    """YAML as the API's clients read it: times stay texts (``1:00:00`` too), ``1e3`` is a number, and a key given twice
    is an error.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a key that is there twice: the first would vanish without a word."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the field {key.value} is given twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


_TIMESTAMP, _INT, _FLOAT = (f"tag:yaml.org,2002:{kind}" for kind in ("timestamp", "int", "float"))
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in (_TIMESTAMP, _INT, _FLOAT)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
# Numbers as Go's YAML reads them, which kubectl uses: PyYAML takes 1:00:00 for 3600, and 1e3 for a text.
_Loader.add_implicit_resolver(
    _INT, re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)$"), list("-+0123456789")
)
_Loader.add_implicit_resolver(
    _FLOAT,
    re.compile(
        r"""[-+]?(?:\.[0-9][0-9_]*|[0-9][0-9_]*\.[0-9_]*)(?:[eE][-+]?[0-9]+)?$
        |[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+$|[-+]?\.(?:inf|Inf|INF)$|\.(?:nan|NaN|NAN)$""",
        re.VERBOSE,
    ),
    list("-+0123456789."),
)


def _whole_number(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    return loader.construct_yaml_int(yaml.ScalarNode(node.tag, text.replace("0o", "0", 1)))


def _decimal_number(loader: _Loader, node: yaml.ScalarNode) -> float | int:
    """A float; a whole number that is written with an exponent is one, as it is in the JSON that kubectl sends."""
    number = float(loader.construct_yaml_float(node))
    exact = "e" in str(node.value).lower() and number.is_integer() and abs(number) < MOST_EXACT
    return int(number) if exact else number


_Loader.add_constructor(_INT, _whole_number)
_Loader.add_constructor(_FLOAT, _decimal_number)


def read_documents(paths: Iterable[Path]) -> Iterator[Document]:
    """All objects of files and folders (their .yaml, .yml and .json files, sorted), in order; lists are taken apart.

    The path ``-`` is standard input. UnreadableError for a file that is not there or is no YAML.
    """
    for path in paths:
        for file in sorted(p for p in path.iterdir() if p.suffix in SUFFIXES) if path.is_dir() else (path,):
            yield from _documents_of(file)


def read_manifests(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """The objects of ``read_documents`` alone; what is no map of fields is left out."""
    return (document.content for document in read_documents(paths) if isinstance(document.content, dict))


def _documents_of(path: Path) -> Iterator[Document]:
    try:
        text = sys.stdin.read() if path == STANDARD_INPUT else path.read_text(encoding="utf-8")
        contents = [item for content in yaml.load_all(text, Loader=_Loader) for item in _items(content)]
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UnreadableError(f"{path}: is not UTF-8 text") from error
    except yaml.YAMLError as error:
        raise UnreadableError(f"{path}: {_place_of(error)}") from error
    except (RecursionError, ValueError) as error:
        raise UnreadableError(f"{path}: is not YAML that can be read ({type(error).__name__})") from error
    for index, content in enumerate(contents, start=1):
        yield Document(str(path), index, content)


def _items(content: Any) -> list[Any]:
    if content is None:
        return []
    if isinstance(content, dict) and str(content.get("kind", "")).endswith("List") and "items" in content:
        items = content["items"]
        # A list in a list is taken apart too, as kubectl does.
        return [one for item in items for one in (_items(item) or [item])] if isinstance(items, list) else [content]
    return [content]


def _place_of(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return str(error)
