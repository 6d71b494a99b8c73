"""An OpenAPI document (3.0 or 3.1) as the list of what an API does: what is not in it is unknown.

A request is one of its operations if path and method fit, each of its query's parameters is one of the operation's, and
its body is of a kind that the operation takes. References go to the document itself only. ``x-tidegate-safe: true`` on
an operation says that it changes nothing. Sources: OpenAPI Specification 3.0.4 and 3.1.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson
import yaml

from tidegate.errors import ConfigError

from .http_paths import Templates, glob

LARGEST = 16 * 1024 * 1024
"""Bytes of a document."""

METHODS = ("get", "put", "post", "delete", "options", "head", "patch")
"""``trace`` is not among them: it gives back what proves the gateway."""

REFERENCES = 32
"""References that lead to one another."""

SAFE = "x-tidegate-safe"

Part = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """``queries`` are the names of its parameters (``free``: any), ``credentials`` those of parameters that prove who
    asks, ``kinds`` the media types of its body, none when it takes no body.
    """

    name: str
    safe: bool
    queries: frozenset[str]
    free: bool
    credentials: frozenset[str]
    kinds: tuple[str, ...]
    source: Part

    def knows(self, parameter: str) -> bool:
        """Whether it has a query parameter of this name; ``a[b]`` and ``a[]`` are parts of ``a``."""
        return self.free or parameter in self.queries | self.credentials or parameter.partition("[")[0] in self.queries

    def takes(self, kind: str) -> bool:
        """Whether its body may be of this media type."""
        return glob(self.kinds).fullmatch(kind) is not None


Operations = Mapping[str, Operation]
"""Those of one path, by method in lower case."""


class Api:
    """The operations of one document, by path and method (in lower case)."""

    def __init__(self, document: Document, *, fold: bool = False) -> None:
        self.document = document
        self.paths: Templates[Operations] = Templates(fold=fold)
        self.operations: dict[tuple[str, str], Operation] = {}
        self._credentials = frozenset(self._keys())
        for path, written in document.mapping(document.root, "paths").items():
            if str(path).startswith("/"):
                self._add(str(path), document.resolved(written))

    def _add(self, path: str, item: Part) -> None:
        found: dict[str, dict[str, Operation]] = {}
        for method in METHODS:
            if method in item:
                source = self.document.resolved(item[method])
                operation = self._operation(item, source)
                for base in self._bases(source.get("servers") or item.get("servers")):
                    found.setdefault(base, {})[method] = operation
        for base, operations in found.items():
            try:
                self.paths.add(base + path, operations)
            except ValueError as error:
                raise self.document.wrong(str(error)) from None
            for method, operation in operations.items():
                self.operations[method, (base + path).rstrip("/") or "/"] = operation

    def _keys(self) -> Iterator[str]:
        """Query parameters that hold a credential."""
        components = self.document.mapping(self.document.root, "components")
        for written in self.document.mapping(components, "securitySchemes").values():
            scheme = self.document.resolved(written)
            if scheme.get("type") == "apiKey" and scheme.get("in") == "query":
                yield str(scheme.get("name", ""))

    def _bases(self, servers: object) -> Iterator[str]:
        """The paths that the servers' addresses begin with."""
        servers = servers or self.document.root.get("servers") or [{}]
        for server in map(self.document.resolved, servers if isinstance(servers, list) else [{}]):
            url = str(server.get("url", "/"))
            for name, variable in self.document.mapping(server, "variables").items():
                url = url.replace("{" + str(name) + "}", str(self.document.resolved(variable).get("default", "")))
            yield unquote(urlsplit(url).path).rstrip("/")

    def _operation(self, item: Part, source: Part) -> Operation:
        document = self.document
        parameters = [
            document.resolved(each) for part in (item, source) for each in document.sequence(part, "parameters")
        ]
        queries = [each for each in parameters if each.get("in") == "query"]
        body = document.resolved(source.get("requestBody") or {})
        return Operation(
            str(source.get("operationId", "")),
            source.get(SAFE) is True,
            frozenset(name for each in queries for name in self._names(each)),
            any(self._free(each) for each in queries),
            self._credentials,
            tuple(kind.partition(";")[0].strip().lower() for kind in document.mapping(body, "content")),
            source,
        )

    def _names(self, parameter: Part) -> Iterator[str]:
        yield str(parameter.get("name", ""))
        if parameter.get("style", "form") == "form" and parameter.get("explode", True) is not False:
            yield from map(str, self.document.mapping(self._schema(parameter), "properties"))

    def _free(self, parameter: Part) -> bool:
        """An object whose members are parameters of any name."""
        exploded = parameter.get("style", "form") == "form" and parameter.get("explode", True) is not False
        schema = self._schema(parameter)
        return exploded and schema.get("type") == "object" and bool(schema.get("additionalProperties"))

    def _schema(self, parameter: Part) -> Part:
        return self.document.resolved(parameter.get("schema") or {})


class Document:
    """The data of one document, whose references can be followed. Raises ConfigError for what is none."""

    def __init__(self, name: str, data: object) -> None:
        self.name = name
        if not isinstance(data, dict) or not str(data.get("openapi", "")).startswith(("3.0.", "3.1.")):
            raise self.wrong("it is no OpenAPI document of version 3.0 or 3.1")
        self.root: Part = data

    def wrong(self, words: str) -> ConfigError:
        """The error that says so."""
        return ConfigError(f"{self.name}: {words}", hint="Mend the API document.", code="config.options")

    def resolved(self, part: object) -> Part:
        """A part, or what its reference leads to."""
        for _ in range(REFERENCES):
            if not isinstance(part, dict):
                raise self.wrong("it has something else where an object belongs")
            reference = part.get("$ref")
            if not isinstance(reference, str):
                return part
            part = self._target(reference)
        raise self.wrong("references lead to one another without an end")

    def _target(self, reference: str) -> object:
        if not reference.startswith("#/"):
            raise self.wrong("it refers to another document: put all into one")
        part: object = self.root
        for step in unquote(reference[2:]).split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            part = part.get(name) if isinstance(part, dict) else None
        if part is None:
            raise self.wrong(f"`{reference}` leads nowhere")
        return part

    def mapping(self, part: Part, name: str) -> Part:
        """The mapping of this name, empty if there is none."""
        found = part.get(name) or {}
        if not isinstance(found, dict):
            raise self.wrong(f"`{name}` is no mapping")
        return found

    def sequence(self, part: Part, name: str) -> list[Any]:
        """The list of this name, empty if there is none."""
        found = part.get(name) or []
        if not isinstance(found, list):
            raise self.wrong(f"`{name}` is no list")
        return found


def load(path: Path) -> tuple[Document, bytes]:
    """The document in a file, JSON or YAML, and its bytes. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise ConfigError(f"{path.name}: cannot be read: {error.strerror}", code="config.options") from None
    if len(data) > LARGEST:
        raise ConfigError(f"{path.name}: is larger than {LARGEST} bytes", code="config.options")
    return Document(path.name, _parsed(path, data)), data


def _parsed(path: Path, data: bytes) -> object:
    try:
        if data.lstrip().startswith(b"{"):
            return orjson.loads(data)
        return yaml.load(data, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - safe, and fast
    except (ValueError, yaml.YAMLError, RecursionError):
        raise ConfigError(f"{path.name}: is neither JSON nor YAML", code="config.options") from None
