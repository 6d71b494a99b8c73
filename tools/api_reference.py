"""Writes docs/reference/api.md from the API's own OpenAPI document.

Run it after changing a route or a shape; a test compares.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tidegate.web.api import describe

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "api.md"

HEAD = """# HTTP API

The only administrative channel of a running gateway, under `/api/v1` at the address `api` of `tidegate.yaml`. Every
request but `health`, `bootstrap` and `enrol` carries a login token: `Authorization: Bearer TOKEN`. Tokens for resources
are refused here. The OpenAPI document is at `/api/v1/openapi.json`.

- Errors are problem details ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)) with `code`, `hint` and, for a
  refusal, `rule`; codes are listed in [errors](errors.md).
- Lists have `items`, newest first, and `next`: give it as `cursor` for the next page, `limit` for at most so many.
- A request body may have 64 KiB. The Host header must name the gateway itself.
- Times are Unix microseconds; `expires` of tokens and logins is in Unix seconds.

This page is generated from the routes.
"""


def page() -> str:
    """The whole page."""
    document = describe()
    lines = [HEAD]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            lines += route(method.upper(), path, operation)
    lines += ["# Shapes", ""]
    for name, shape in document["components"]["schemas"].items():
        if shape.get("type") == "object" and not name.endswith("ValidationError"):
            lines += fields(name, shape)
    return "\n".join(lines).rstrip() + "\n"


def route(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    """One route: what it does, takes and gives."""
    yield from (f"## `{method} {path}`", "", operation["description"], "")
    given = [f"`{each['name']}`" for each in operation.get("parameters", ()) if each["in"] == "query"]
    if given:
        yield f"- query: {', '.join(given)}"
    if "requestBody" in operation:
        yield f"- body: {body(operation['requestBody']['content'])}"
    status, answer = next(iter(operation["responses"].items()))
    content = answer.get("content", {})
    shape = kind(content["application/json"]["schema"]) if "application/json" in content else "nothing"
    yield from (f"- gives: {status}, {shape if content else 'text or nothing'}", "")


def body(content: Mapping[str, Any]) -> str:
    """What a request carries: a shape, or a form with its members."""
    if "application/json" in content:
        return kind(content["application/json"]["schema"])
    (form,) = content.values()
    return "form with " + ", ".join(f"`{member}`" for member in form["schema"]["properties"])


def fields(name: str, shape: Mapping[str, Any]) -> Iterator[str]:
    """One shape with its members."""
    yield from (f"### {name}", "", " ".join(shape.get("description", "").replace("``", "`").split()), "")
    yield from ("| member | type |", "|---|---|")
    for member, schema in shape.get("properties", {}).items():
        yield f"| `{member}` | {kind(schema)} |"
    yield ""


def kind(schema: Mapping[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        return f"`{schema['$ref'].rpartition('/')[2]}`"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(kind(each) for each in schema["anyOf"]))
    if schema.get("type") == "array":
        return f"list of {kind(schema.get('items', {}))}"
    return str(schema.get("type", "anything"))


if __name__ == "__main__":
    PAGE.write_text(page())
