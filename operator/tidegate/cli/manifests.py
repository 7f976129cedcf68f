"""Objects from files that people write: YAML with several documents, or JSON; read as an API server would read them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

SUFFIXES = (".yaml", ".yml", ".json")


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
        """Its name, or its place in the file when it has none."""
        metadata = self.content.get("metadata") if isinstance(self.content, dict) else None
        name = metadata.get("name") if isinstance(metadata, dict) else None
        return name if isinstance(name, str) and name else f"document {self.index}"


class _Loader(yaml.SafeLoader):
    """YAML as the API's clients read it: times stay texts, and a key given twice is an error."""

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


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_documents(paths: Iterable[Path]) -> Iterator[Document]:
    """All objects of files and folders (their .yaml, .yml and .json files, sorted), in order; lists are taken apart.

    UnreadableError for a file that is not there or is no YAML.
    """
    for path in paths:
        for file in sorted(p for p in path.iterdir() if p.suffix in SUFFIXES) if path.is_dir() else (path,):
            yield from _documents_of(file)


def read_manifests(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """The objects of ``read_documents`` alone; what is no map of fields is left out."""
    return (document.content for document in read_documents(paths) if isinstance(document.content, dict))


def _documents_of(path: Path) -> Iterator[Document]:
    try:
        text = path.read_text(encoding="utf-8")
        contents = list(yaml.load_all(text, Loader=_Loader))
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UnreadableError(f"{path}: is not UTF-8 text") from error
    except yaml.YAMLError as error:
        raise UnreadableError(f"{path}: {_place_of(error)}") from error
    except (RecursionError, ValueError) as error:
        raise UnreadableError(f"{path}: is not YAML that can be read ({type(error).__name__})") from error
    index = 0
    for content in contents:
        for item in _items(content):
            index += 1
            yield Document(str(path), index, item)


def _items(content: Any) -> list[Any]:
    if content is None:
        return []
    if isinstance(content, dict) and str(content.get("kind", "")).endswith("List") and "items" in content:
        items = content["items"]
        return items if isinstance(items, list) else [content]
    return [content]


def _place_of(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return str(error)
