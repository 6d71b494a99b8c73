"""YAML files that the operator writes, read so that every complaint names its line.

Why not plain YAML loading: YAML 1.1 turns the key ``on`` into a boolean and ``1:30`` into ninety, and forgets lines.
Here a key is always its text, only ``true`` and ``false`` are booleans, only plain digits are numbers, and duplicate
keys and aliases are refused.

Invariants: no complaint repeats a value from the file (it could be a misplaced secret); every complaint is a
ConfigError whose ``path`` is ``file:line`` and which says what to write instead.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError, model_validator
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError, core_schema

from tidegate.errors import ConfigError

Location = tuple[str | int, ...]
Shape = TypeVar("Shape", bound=BaseModel)

_SENTENCES = {
    "string_type": "must be text: put it in quotes",
    "list_type": "must be a list, such as [one, two]",
    "tuple_type": "must be a list, such as [one, two]",
    "dict_type": "must be a mapping, such as {key: value}",
    "model_type": "must be a mapping, such as {key: value}",
    "model_attributes_type": "must be a mapping, such as {key: value}",
    "int_type": "must be a whole number",
    "too_short": "must not be empty: leave the key out instead",
}


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {}  # noqa: RUF012 - replaces the parent's table, which PyYAML reads from the class

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="aliases are not supported: write the value out", problem_mark=mark)
        return super().compose_node(parent, index)


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?(?:0|[1-9][0-9]*)$"), list("-0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|)$"), ["~", "n", ""])


@dataclass(frozen=True, slots=True)
class Document:
    """The data of one file, its bytes, and the line of every key and list item in it."""

    path: Path
    data: object
    lines: Mapping[Location, int]
    content: bytes = field(default=b"", repr=False)

    def line(self, location: Location) -> int:
        """The line of ``location``, or of the nearest thing around it."""
        while location not in self.lines and location:
            location = location[:-1]
        return self.lines.get(location, 1)

    def beside(self, name: str) -> Path:
        """The path that ``name`` in the file means: relative ones start where the file is."""
        return Path(os.path.normpath(self.path.parent / name))

    def complaint(self, location: Location, message: str, *, hint: str = "") -> ConfigError:
        """The error that says what is wrong at ``location``."""
        where = ".".join(str(part) for part in location)
        said = f"{where}: {message}" if where else message
        return ConfigError(said, path=f"{self.path}:{self.line(location)}", hint=hint)


class Strict(BaseModel):
    """The base of every mapping in a file: frozen; an unknown key is refused with a suggestion, an empty one too."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        if isinstance(data, dict):
            known = [field.alias or name for name, field in cls.model_fields.items()]
            for key, value in data.items():
                if key not in known:
                    raise _at_key(key, f"unknown key; {closest(str(key), known)}")
                if value is None:
                    raise _at_key(key, "is empty: write a value or leave the key out")
        return data


def closest(word: str, known: Iterable[str]) -> str:
    """``did you mean "listen"?``, or the list of what is known."""
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f'did you mean "{near[0]}"?' if near else f"known here: {', '.join(names)}"


def wrong(message: str) -> PydanticCustomError:
    """What a validator raises: the sentence stands in the complaint as it is."""
    return PydanticCustomError("wrong", "{said}", {"said": message})


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """Metadata for ``Annotated``: how a scalar is checked and converted, and its JSON Schema."""

    check: Callable[[object], object]
    schema: Mapping[str, Any]

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return dict(self.schema)


def _as_text(value: object) -> str:
    if not isinstance(value, str):
        raise wrong(_SENTENCES["string_type"])
    return value


def _at_key(key: object, message: str) -> PydanticCustomError:
    return PydanticCustomError("wrong_key", "{said}", {"said": message, "key": key})


def text(pattern: str, sentence: str) -> Form:
    """Text that matches ``pattern`` as a whole, else the complaint is ``sentence``."""
    compiled = re.compile(pattern)

    def check(value: object) -> str:
        if compiled.fullmatch(_as_text(value)) is None:
            raise wrong(sentence)
        return str(value)

    return Form(check, {"type": "string", "pattern": f"^(?:{pattern})$"})


def choice(*words: str) -> Form:
    """One of ``words``, else the complaint lists them and guesses."""

    def check(value: object) -> str:
        if value not in words:
            near = difflib.get_close_matches(_as_text(value), words, n=1)
            raise wrong(f"must be one of {', '.join(words)}" + (f'; did you mean "{near[0]}"?' if near else ""))
        return str(value)

    return Form(check, {"type": "string", "enum": list(words)})


def _quantity(units: Mapping[str, int], sentence: str) -> Form:
    pattern = rf"([1-9][0-9]{{0,8}})({'|'.join(units)})"

    def check(value: object) -> int:
        found = re.fullmatch(pattern, value) if isinstance(value, str) else None
        if found is None:
            raise wrong(sentence)
        return int(found[1]) * units[found[2]]

    return Form(check, {"type": "string", "pattern": f"^{pattern}$"})


Duration = Annotated[int, _quantity({"s": 1, "m": 60, "h": 3600}, "must be a duration such as 30s, 15m or 8h")]
"""Seconds."""

Size = Annotated[int, _quantity({"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}, "must be a size such as 64KiB or 1MiB")]
"""Bytes."""


def read(path: Path) -> Document:
    """Read one YAML file. Raises ConfigError when it is absent or not well-formed (YAML 1.2 section 10.3)."""
    try:
        return parse(path, path.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", path=str(path)) from None


def parse(path: Path, content: bytes) -> Document:
    """What ``content``, read from ``path``, says. Raises ConfigError as ``read``."""
    try:
        loader = _Loader(content.decode())
        root = loader.get_single_node()
        lines: dict[Location, int] = {}
        return Document(path, None if root is None else _value(loader, root, (), lines), lines, content)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(error.problem or "not well-formed YAML", path=f"{path}:{line}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError):
        raise ConfigError("not well-formed YAML in UTF-8", path=str(path)) from None


def _value(loader: _Loader, node: yaml.Node, here: Location, lines: dict[Location, int]) -> object:
    lines.setdefault(here, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        return [_value(loader, item, (*here, index), lines) for index, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        return _mapping(loader, node, here, lines)
    return loader.construct_object(node)


def _mapping(loader: _Loader, node: yaml.MappingNode, here: Location, lines: dict[Location, int]) -> dict[str, object]:
    data: dict[str, object] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise yaml.MarkedYAMLError(problem="a key must be plain text", problem_mark=key.start_mark)
        if key.value in data:
            raise yaml.MarkedYAMLError(problem=f'the key "{key.value}" is there twice', problem_mark=key.start_mark)
        lines[(*here, key.value)] = key.start_mark.line + 1
        data[key.value] = _value(loader, value, (*here, key.value), lines)
    return data


def validate(document: Document, shape: type[Shape]) -> Shape:
    """The document as ``shape``. Raises ConfigError for the first thing wrong in it."""
    try:
        return shape.model_validate(document.data)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        first = min(details, key=lambda detail: document.line(_location(detail)))
    raise document.complaint(_location(first), _sentence(first))


def _location(detail: ErrorDetails) -> Location:
    key = detail.get("ctx", {}).get("key")
    return detail["loc"] if key is None else (*detail["loc"], key)


def _sentence(detail: ErrorDetails) -> str:
    if detail["type"] == "missing":
        return "is missing and must be written"
    return _SENTENCES.get(detail["type"], detail["msg"])
