"""What ``options`` of an HTTP resource say about its operations; each complaint names its key."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from tidegate.errors import ConfigError
from tidegate.model.resource import Field

from . import openapi, openapi_tags
from .http_paths import Templates, glob, normalised

KEYS = frozenset(("any_case", "graphql", "headers", "opaque", "openapi", "override", "paths", "safe"))
"""The options that this module reads; a protocol has others of its own."""

NEVER = frozenset(
    (
        "authorization", "proxy-authorization", "cookie", "cookie2", "x-api-key", "x-auth-token", "x-csrf-token",
        "x-amz-security-token", "private-token",
    )
)  # fmt: skip
"""Fields that are no facts: what they hold is a credential."""

_OBJECT = re.compile(r"(?:[A-Z]+|\*) [/*][\x21-\x7e]*|\*")
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_MAY_BE_SAFE = ("GET", "OPTIONS", "POST")


@dataclass(frozen=True, slots=True)
class Options:
    """``safe`` fits objects that change nothing, ``opaque`` those that take bodies nobody understands. ``graphql`` are
    the paths of GraphQL, ``headers`` further fields that become facts. ``override``: one method may stand in for
    another. ``any_case``: whether letters' case in paths does not matter, None if nobody says.
    """

    safe: re.Pattern[str]
    opaque: re.Pattern[str]
    graphql: frozenset[str] = frozenset()
    headers: frozenset[str] = frozenset()
    override: bool = False
    any_case: bool | None = None
    paths: Templates[None] = field(default_factory=Templates)
    api: openapi.Api | None = None
    tags: Mapping[Field, str] = field(default_factory=dict)
    digest: bytes = b""


def read(options: Mapping[str, object], base: str) -> Options:
    """The options; files are relative to ``base``. Raises ConfigError."""
    given = {key: value for key, value in options.items() if key in KEYS}
    any_case = _flag(given, "any_case") if "any_case" in given else None
    fold = any_case is True
    digest = hashlib.sha256(orjson.dumps(given, option=orjson.OPT_SORT_KEYS))
    api = None
    if "openapi" in given:
        document, data = openapi.load(Path(base) / _text(given, "openapi"))
        digest.update(data)
        api = openapi.Api(document, fold=fold)
    return Options(
        safe=_safe(given),
        opaque=glob(_texts(given, "opaque", _object)),
        graphql=frozenset(_texts(given, "graphql", _path)),
        headers=frozenset(name.lower() for name in _texts(given, "headers", _header)),
        override=_flag(given, "override"),
        any_case=any_case,
        paths=_paths(given, fold),
        api=api,
        tags=openapi_tags.tags(api) if api is not None else {},
        digest=digest.digest(),
    )


def _safe(given: Mapping[str, object]) -> re.Pattern[str]:
    if given.get("safe") == "GET":
        return glob(["GET *"])
    patterns = _texts(given, "safe", _object)
    for pattern in patterns:
        if pattern.partition(" ")[0] not in _MAY_BE_SAFE:
            raise _wrong("safe", "`GET`, or a list of objects of GET, OPTIONS or POST")
    return glob(patterns)


def _paths(given: Mapping[str, object], fold: bool) -> Templates[None]:
    templates: Templates[None] = Templates(fold=fold)
    for template in _texts(given, "paths", lambda text: text.startswith("/")):
        try:
            templates.add(template, None)
        except ValueError as error:
            raise _wrong("paths", f"a list of paths such as /users/{{id}}, but {error}") from None
    return templates


def _object(text: str) -> bool:
    return _OBJECT.fullmatch(text) is not None


def _path(text: str) -> bool:
    return "?" not in text and normalised(text) == text and (text == "/" or not text.endswith("/"))


def _header(text: str) -> bool:
    return _NAME.fullmatch(text) is not None and text.lower() not in NEVER


_WORDS = {
    "opaque": "a list of objects such as `PUT /files/*`",
    "safe": "`GET`, or a list of objects such as `GET /users/*`",
    "graphql": "a list of paths such as /graphql",
    "paths": "a list of paths such as /users/{id}",
    "headers": "a list of names of header fields that hold no credential",
}


def _texts(given: Mapping[str, object], key: str, fits: Callable[[str], bool]) -> list[str]:
    found = given.get(key, [])
    if not isinstance(found, list) or not all(isinstance(text, str) and fits(text) for text in found):
        raise _wrong(key, _WORDS[key])
    return found


def _text(given: Mapping[str, object], key: str) -> str:
    found = given[key]
    if not isinstance(found, str) or not found:
        raise _wrong(key, "the name of a file")
    return found


def _flag(given: Mapping[str, object], key: str) -> bool:
    found = given.get(key, False)
    if not isinstance(found, bool):
        raise _wrong(key, "true or false")
    return found


def _wrong(key: str, words: str) -> ConfigError:
    hint = "See docs/reference/http.md."
    return ConfigError(f"the option `{key}` must be {words}", hint=hint, code="config.options")
