"""GraphQL over HTTP: what a request asks for, field by field, whichever way it is written.

A document is parsed by the language's reference parser with limits on its words; all its operations count, since the
name that picks one is not looked at by every server. Fields are named by the path of their real names from the root
type, through fragments: ``Query.user.email``. A server puts an answer under the alias instead; ``aliases`` tells which
answers are under another name than their field's.

Batches, persisted queries without their text, directives that change the answer's form, and members of the request that
are not in the specification are not understood. Source: GraphQL specification (October 2021), GraphQL over HTTP.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from graphql import GraphQLError, parse
from graphql.language import ast

from .http_body import JSON, Media
from .http_values import Unclear, Values, document, fact, number, pairs

WORDS = 5000
"""Words of a document."""

FIELDS = 1000
"""Fields that it asks for, those of fragments as often as these are used."""

DEPTH = 30
"""How deep they may be nested."""

MEMBERS = frozenset(("query", "variables", "operationName", "extensions"))
DIRECTIVES = frozenset(("skip", "include"))
"""They choose among fields, and change nothing else."""

ROOTS = {"query": "Query", "mutation": "Mutation", "subscription": "Subscription"}


@dataclass(slots=True)
class Asked:
    """What is asked for: kinds of operations, their names, paths of fields, what answers are under other names."""

    text: str
    kinds: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    fields: dict[str, None] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    arguments: Values = field(default_factory=Values)
    introspection: bool = False

    @property
    def aliases(self) -> dict[str, str]:
        """Paths in the answer, without places in lists, whose last name is an alias, and the paths of their fields."""
        return {
            answer: real
            for answer, real in self.answers.items()
            if answer.rpartition(".")[2] != real.rpartition(".")[2]
        }


def read(method: str, query: str, media: Media | None, body: bytes) -> Asked:
    """What a request to a GraphQL endpoint asks for. Raises Unclear."""
    sent = pairs(query)
    names = [name for name, _ in sent]
    if method in ("GET", "HEAD") and not body:
        if len(set(names)) != len(names):
            raise Unclear("a parameter stands several times")
        members: dict[str, object] = dict(sent)
        for name in ("variables", "extensions"):
            if name in members:
                members[name] = document(str(members[name]).encode())
        return _asked(members)
    if method != "POST" or media is None or not MEMBERS.isdisjoint(names):
        raise Unclear("GraphQL is asked by POST with a JSON document, or by GET with a query")
    if media.name == "application/graphql":
        return _asked({"query": _text(body)})
    given = document(body) if media.kind == JSON else None
    if isinstance(given, list):
        raise Unclear("it is a batch: send its operations one by one")
    if not isinstance(given, dict):
        raise Unclear("GraphQL is asked by POST with a JSON document, or by GET with a query")
    return _asked(given)


def asked_by(text: str) -> Asked:
    """What a document alone asks for, without values for its variables. Raises Unclear."""
    return _Reader(text, {}).read(None)


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise Unclear("it has text that is not UTF-8") from None


def _asked(members: Mapping[str, object]) -> Asked:
    if not members.keys() <= MEMBERS:
        raise Unclear("it has members that GraphQL does not have")
    text, variables = members.get("query"), members.get("variables") or {}
    name, extensions = members.get("operationName"), members.get("extensions") or {}
    if not isinstance(text, str) or not text.strip():
        raise Unclear("it has no query, or one that only the server knows")
    if not isinstance(variables, dict) or not isinstance(extensions, dict) or not isinstance(name, str | None):
        raise Unclear("its members are not of the kinds that GraphQL has")
    persisted = extensions.get("persistedQuery")
    if persisted is not None and not _same(persisted, text):
        raise Unclear("the query is not the one that its hash names")
    return _Reader(text, variables).read(name)


def _same(persisted: object, text: str) -> bool:
    return isinstance(persisted, dict) and persisted.get("sha256Hash") == hashlib.sha256(text.encode()).hexdigest()


class _Reader:
    def __init__(self, text: str, variables: Mapping[str, object]) -> None:
        self._asked = Asked(text)
        self._variables = variables
        self._defaults: dict[str, ast.ValueNode] = {}
        self._fragments: dict[str, ast.FragmentDefinitionNode] = {}
        self._count = 0

    def read(self, name: str | None) -> Asked:
        operations = self._parsed()
        names = [each.name.value if each.name else "" for each in operations]
        if not operations or len(set(names)) != len(names) or (len(names) > 1 and "" in names):
            raise Unclear("its operations do not have a name each")
        if (name and name not in names) or (not name and len(names) > 1):
            raise Unclear("it does not say which of its operations is to run")
        self._asked.names = [each for each in names if each]
        for operation in operations:
            self._operation(operation)
        return self._asked

    def _parsed(self) -> list[ast.OperationDefinitionNode]:
        operations: list[ast.OperationDefinitionNode] = []
        try:
            definitions = parse(self._asked.text, no_location=True, max_tokens=WORDS).definitions
        except (GraphQLError, RecursionError):
            raise Unclear("its query is not GraphQL, or too long") from None
        for each in definitions:
            if isinstance(each, ast.OperationDefinitionNode):
                operations.append(each)
            elif isinstance(each, ast.FragmentDefinitionNode) and each.name.value not in self._fragments:
                self._fragments[each.name.value] = each
            else:
                raise Unclear("its query defines what no query does")
        return operations

    def _operation(self, operation: ast.OperationDefinitionNode) -> None:
        kind = operation.operation.value
        if kind not in self._asked.kinds:
            self._asked.kinds.append(kind)
        self._defaults = {}
        for variable in operation.variable_definitions or ():
            self._check(variable.directives)
            if variable.default_value is not None:
                self._defaults[variable.variable.name.value] = variable.default_value
        self._check(operation.directives)
        self._select(operation.selection_set, ROOTS[kind], "$.data", "$.data", ())

    def _check(self, directives: Iterable[ast.DirectiveNode] | None) -> None:
        for each in directives or ():
            if each.name.value not in DIRECTIVES:
                raise Unclear("it has a directive that is not known")

    def _select(
        self, selections: ast.SelectionSetNode, path: str, answer: str, real: str, within: tuple[str, ...]
    ) -> None:
        if path.count(".") > DEPTH:
            raise Unclear("it is nested too deeply")
        if not selections.selections:
            raise Unclear("its query is not GraphQL, or too long")
        for each in selections.selections:
            self._check(each.directives)
            self._count += 1
            if self._count > FIELDS:
                raise Unclear("it asks for more fields than are looked at")
            if isinstance(each, ast.FieldNode):
                self._field(each, path, answer, real, within)
            elif isinstance(each, ast.InlineFragmentNode):
                self._select(each.selection_set, path, answer, real, within)
            elif isinstance(each, ast.FragmentSpreadNode):
                self._spread(each.name.value, path, answer, real, within)

    def _spread(self, name: str, path: str, answer: str, real: str, within: tuple[str, ...]) -> None:
        fragment = self._fragments.get(name)
        if fragment is None or name in within:
            raise Unclear("it has a fragment that is not there, or that is in itself")
        self._check(fragment.directives)
        self._select(fragment.selection_set, path, answer, real, (*within, name))

    def _field(self, node: ast.FieldNode, path: str, answer: str, real: str, within: tuple[str, ...]) -> None:
        name = node.name.value
        path, real = f"{path}.{name}", f"{real}.{name}"
        answer = f"{answer}.{node.alias.value if node.alias else name}"
        if self._asked.answers.setdefault(answer, real) != real:
            raise Unclear("one name in its answer stands for several fields")
        self._asked.fields[path] = None
        self._asked.introspection = self._asked.introspection or name in ("__schema", "__type")
        for argument in node.arguments or ():
            self._argument(fact("argument", argument.name.value), argument.value, 0)
        if node.selection_set is not None:
            self._select(node.selection_set, path, answer, real, within)

    def _argument(self, name: str, value: ast.ValueNode, depth: int) -> None:
        if depth > DEPTH:
            raise Unclear("it is nested too deeply")
        if isinstance(value, ast.VariableNode):
            self._variable(name, value.name.value, depth)
        elif isinstance(value, ast.ListValueNode):
            for item in value.values or ():
                self._argument(name, item, depth + 1)
        elif isinstance(value, ast.ObjectValueNode):
            for member in value.fields or ():
                self._argument(fact(name, member.name.value), member.value, depth + 1)
        else:
            self._asked.arguments.add(name, _scalar(value))

    def _variable(self, name: str, variable: str, depth: int) -> None:
        if variable in self._variables:
            self._asked.arguments.add_tree(name, self._variables[variable], depth)
        default = self._defaults.get(variable)
        if default is not None and self._variables.get(variable) is None:
            self._argument(name, default, depth + 1)


def _scalar(value: ast.ValueNode) -> object:
    if isinstance(value, ast.BooleanValueNode | ast.StringValueNode | ast.EnumValueNode):
        return value.value
    if isinstance(value, ast.IntValueNode | ast.FloatValueNode):
        return number(value.value)
    if isinstance(value, ast.NullValueNode):
        return None
    raise Unclear("it has a value that GraphQL does not have")


def original(path: str, aliases: Mapping[str, str]) -> str:
    """The path of the field that an answer's path is of; places in lists stay where they are."""
    if not aliases:
        return path
    answer = real = ""
    for step in path.split("."):
        name, bracket, places = step.partition("[")
        answer = f"{answer}.{name}" if answer else name
        field = aliases.get(answer, f".{name}").rpartition(".")[2]
        real = f"{real}.{field}{bracket}{places}" if real else step
    return real
