"""Objects from files that people write: YAML with several documents, or JSON; read as an API server would read them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from tidegate.api.problems import shown

SUFFIXES = (".yaml", ".yml", ".json")
STANDARD_INPUT = Path("-")
"""The name under which standard input is read, as kubectl does."""
LONGEST_NAME = 253
"""Characters of an object's name that an API server allows."""
LONGEST_PATH, LONGEST_WORDS = 4096, 1000
"""Characters of a file's name, and of what a parser says, that are printed."""
MOST_OBJECTS = 20_000
"""Of one file. Ten lines of lists that refer to one another name billions."""
MOST_FIELDS = 10_000
"""Of one map, merged ones included."""
MOST_EXACT = 2**53
"""Up to here every whole number is a float."""


_HALF = re.compile("[\ud800-\udfff]")
"""Half of a character, as UTF-16 has it."""
_UNMADE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What PyYAML raises for a value that is not what its tag says, as ``!!bool x``, and for what is nested too deeply."""


class UnreadableError(Exception):
    """A file that cannot be read or is no YAML; the message names the file and the place."""


@dataclass(frozen=True, slots=True)
class Document:
    """One object of a file."""

    file: str
    """The file's name as it was given, fit to be printed."""
    index: int
    """Its place in the file, from 1."""
    content: Any

    @property
    def kind(self) -> str:
        """The kind it says it is, fit to be printed, or an empty text."""
        kind = self.content.get("kind") if isinstance(self.content, dict) else None
        return shown(kind, LONGEST_NAME) if isinstance(kind, str) else ""

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

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        """Join what JSON writes as two escapes: a character beyond the first 65,536."""
        value = super().construct_scalar(node)
        if isinstance(value, str) and _HALF.search(value):
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        return value

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Refuse merges (``<<``) that unfold without end: of merges of merges each line makes ten times as many."""
        super().flatten_mapping(node)
        if len(node.value) > MOST_FIELDS:
            raise yaml.constructor.ConstructorError(
                None, None, f"more than {MOST_FIELDS} fields are merged", node.start_mark
            )


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
        for file in _files_of(path):
            yield from _documents_of(file)


def read_manifests(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """The objects of ``read_documents`` alone; what is no map of fields is left out."""
    return (document.content for document in read_documents(paths) if isinstance(document.content, dict))


def _files_of(path: Path) -> list[Path]:
    """A file itself, or those of a folder that are read."""
    try:
        return sorted(one for one in path.iterdir() if one.suffix in SUFFIXES) if path.is_dir() else [path]
    except OSError as error:
        raise UnreadableError(f"{_named(path)}: {error.strerror or error}") from error


def _documents_of(path: Path) -> Iterator[Document]:
    name = _named(path)
    try:
        text = sys.stdin.read() if path == STANDARD_INPUT else path.read_text(encoding="utf-8")
        objects = (item for content in yaml.load_all(text, Loader=_Loader) for item in _items(content))
        contents = list(islice(objects, MOST_OBJECTS + 1))
    except OSError as error:
        raise UnreadableError(f"{name}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UnreadableError(f"{name}: is not UTF-8 text") from error
    except yaml.YAMLError as error:
        raise UnreadableError(f"{name}: {shown(_place_of(error), LONGEST_WORDS)}") from error
    except _UNMADE as error:
        raise UnreadableError(f"{name}: is not YAML that can be read ({type(error).__name__})") from error
    if len(contents) > MOST_OBJECTS:
        raise UnreadableError(f"{name}: holds more than {MOST_OBJECTS} objects; give it in several files")
    for index, content in enumerate(contents, start=1):
        yield Document(name, index, content)


def _named(path: Path) -> str:
    """A file's name, fit to be printed: it may be bytes that are no UTF-8."""
    return shown(str(path), LONGEST_PATH)


def _items(content: Any) -> Iterator[Any]:
    """The objects of a list, and of lists in it, as kubectl takes them apart; one by one, for a list that refers to
    others again and again has no end.
    """
    if _is_list(content):
        for item in content["items"]:
            if _is_list(item):
                yield from _items(item)
            else:
                yield item
    elif content is not None:
        yield content


def _is_list(content: Any) -> bool:
    kind = content.get("kind") if isinstance(content, dict) else None
    return isinstance(kind, str) and kind.endswith("List") and isinstance(content.get("items"), list)


def _place_of(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return str(error)
