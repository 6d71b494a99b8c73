"""The verdict on every kind of statement in PostgreSQL's grammar that is not looked into any further.

``TABLE`` gives verb, command and reason; a command holding ``{}`` is completed with the kind of object. What is neither
here nor among the handlers in ``sql_analysis`` is unknown, and unknown is refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.model.operation import Verb

from .sql_parse import Node, children, single

_D, _A, _W, _S, _E = Verb.DEFINE, Verb.ADMINISTER, Verb.WRITE, Verb.SESSION, Verb.EXECUTE
_SCHEMA, _SECURITY, _SERVER = "changes the schema", "changes who may do what", "acts on the server as a whole"
_CODE, _OUTSIDE = "brings code into the server", "reaches another system"

TABLE: Mapping[str, tuple[Verb, str, str]] = {
    "AlterCollationStmt": (_D, "alter collation", _SCHEMA),
    "AlterDatabaseRefreshCollStmt": (_A, "alter database", _SERVER),
    "AlterDatabaseSetStmt": (_A, "alter database", _SERVER),
    "AlterDatabaseStmt": (_A, "alter database", _SERVER),
    "AlterDefaultPrivilegesStmt": (_A, "alter default privileges", _SECURITY),
    "AlterDomainStmt": (_D, "alter domain", _SCHEMA),
    "AlterEnumStmt": (_D, "alter type", _SCHEMA),
    "AlterEventTrigStmt": (_A, "alter event trigger", _CODE),
    "AlterExtensionContentsStmt": (_A, "alter extension", _CODE),
    "AlterExtensionStmt": (_A, "alter extension", _CODE),
    "AlterFdwStmt": (_A, "alter foreign data wrapper", _OUTSIDE),
    "AlterForeignServerStmt": (_A, "alter server", _OUTSIDE),
    "AlterFunctionStmt": (_D, "alter function", _SCHEMA),
    "AlterObjectDependsStmt": (_D, "alter {}", _SCHEMA),
    "AlterObjectSchemaStmt": (_D, "alter {}", _SCHEMA),
    "AlterOpFamilyStmt": (_A, "alter operator family", _CODE),
    "AlterOperatorStmt": (_D, "alter operator", _SCHEMA),
    "AlterOwnerStmt": (_A, "alter {}", _SECURITY),
    "AlterPolicyStmt": (_A, "alter policy", _SECURITY),
    "AlterPublicationStmt": (_A, "alter publication", _OUTSIDE),
    "AlterRoleSetStmt": (_A, "alter role", _SECURITY),
    "AlterRoleStmt": (_A, "alter role", _SECURITY),
    "AlterSeqStmt": (_D, "alter sequence", _SCHEMA),
    "AlterStatsStmt": (_D, "alter statistics", _SCHEMA),
    "AlterSubscriptionStmt": (_A, "alter subscription", _OUTSIDE),
    "AlterSystemStmt": (_A, "alter system", _SERVER),
    "AlterTSConfigurationStmt": (_D, "alter text search configuration", _SCHEMA),
    "AlterTSDictionaryStmt": (_D, "alter text search dictionary", _SCHEMA),
    "AlterTableMoveAllStmt": (_A, "alter {}", _SERVER),
    "AlterTableSpaceOptionsStmt": (_A, "alter tablespace", _SERVER),
    "AlterTableStmt": (_D, "alter {}", _SCHEMA),
    "AlterTypeStmt": (_D, "alter type", _SCHEMA),
    "AlterUserMappingStmt": (_A, "alter user mapping", _SECURITY),
    "CheckPointStmt": (_A, "checkpoint", _SERVER),
    "ClusterStmt": (_A, "cluster", _SERVER),
    "CommentStmt": (_D, "comment", _SCHEMA),
    "CompositeTypeStmt": (_D, "create type", _SCHEMA),
    "ConstraintsSetStmt": (_W, "set constraints", "checks constraints now, and lets their triggers run"),
    "CreateAmStmt": (_A, "create access method", _CODE),
    "CreateCastStmt": (_D, "create cast", _CODE),
    "CreateConversionStmt": (_D, "create conversion", _CODE),
    "CreateDomainStmt": (_D, "create domain", _SCHEMA),
    "CreateEnumStmt": (_D, "create type", _SCHEMA),
    "CreateEventTrigStmt": (_A, "create event trigger", _CODE),
    "CreateExtensionStmt": (_A, "create extension", _CODE),
    "CreateFdwStmt": (_A, "create foreign data wrapper", _OUTSIDE),
    "CreateForeignServerStmt": (_A, "create server", _OUTSIDE),
    "CreateForeignTableStmt": (_A, "create foreign table", _OUTSIDE),
    "CreateOpClassStmt": (_A, "create operator class", _CODE),
    "CreateOpFamilyStmt": (_A, "create operator family", _CODE),
    "CreatePLangStmt": (_A, "create language", _CODE),
    "CreatePolicyStmt": (_A, "create policy", _SECURITY),
    "CreatePublicationStmt": (_A, "create publication", _OUTSIDE),
    "CreateRangeStmt": (_D, "create type", _SCHEMA),
    "CreateRoleStmt": (_A, "create role", _SECURITY),
    "CreateSchemaStmt": (_D, "create schema", _SCHEMA),
    "CreateSeqStmt": (_D, "create sequence", _SCHEMA),
    "CreateStatsStmt": (_D, "create statistics", _SCHEMA),
    "CreateStmt": (_D, "create table", _SCHEMA),
    "CreateSubscriptionStmt": (_A, "create subscription", _OUTSIDE),
    "CreateTableSpaceStmt": (_A, "create tablespace", _SERVER),
    "CreateTransformStmt": (_A, "create transform", _CODE),
    "CreateTrigStmt": (_D, "create trigger", _CODE),
    "CreateUserMappingStmt": (_A, "create user mapping", _SECURITY),
    "CreatedbStmt": (_D, "create database", _SERVER),
    "DefineStmt": (_D, "create {}", _SCHEMA),
    "DropOwnedStmt": (_A, "drop owned", _SECURITY),
    "DropRoleStmt": (_A, "drop role", _SECURITY),
    "DropStmt": (_D, "drop {}", _SCHEMA),
    "DropSubscriptionStmt": (_A, "drop subscription", _OUTSIDE),
    "DropTableSpaceStmt": (_A, "drop tablespace", _SERVER),
    "DropUserMappingStmt": (_A, "drop user mapping", _SECURITY),
    "DropdbStmt": (_D, "drop database", _SERVER),
    "GrantRoleStmt": (_A, "grant role", _SECURITY),
    "ImportForeignSchemaStmt": (_A, "import foreign schema", _OUTSIDE),
    "IndexStmt": (_D, "create index", _SCHEMA),
    "ListenStmt": (_E, "listen", "has messages sent that belong to no operation"),
    "LoadStmt": (_A, "load", _CODE),
    "NotifyStmt": (_W, "notify", "sends a message to other sessions"),
    "ReassignOwnedStmt": (_A, "reassign owned", _SECURITY),
    "RefreshMatViewStmt": (_W, "refresh materialized view", "replaces stored rows"),
    "ReindexStmt": (_A, "reindex", _SERVER),
    "RenameStmt": (_D, "alter {}", _SCHEMA),
    "ReplicaIdentityStmt": (_D, "alter table", _SCHEMA),
    "SecLabelStmt": (_A, "security label", _SECURITY),
    "UnlistenStmt": (_S, "unlisten", "ends what LISTEN began"),
}

_VIEW = "materialized view"
_OBJECT_KEYS = ("removeType", "renameType", "objectType", "objtype", "kind")


_SECURITY_CHANGES = frozenset(
    {
        "AT_ChangeOwner",
        "AT_DisableRowSecurity",
        "AT_DisableRule",
        "AT_DisableTrig",
        "AT_DisableTrigAll",
        "AT_DisableTrigUser",
        "AT_EnableRowSecurity",
        "AT_ForceRowSecurity",
        "AT_NoForceRowSecurity",
    }
)


def verdict(kind: str, body: Node) -> tuple[Verb, str]:
    """Verb and command of a statement in the table. Raises KeyError if it is not there."""
    verb, command, _ = TABLE[kind]
    if any(change.get("subtype") in _SECURITY_CHANGES for _, change in children(body.get("cmds"))):
        verb = Verb.ADMINISTER
    if "{}" in command:
        name = next((str(body[key]) for key in _OBJECT_KEYS if key in body), "object")
        command = command.format(name.removeprefix("OBJECT_").lower().replace("_", " ").replace("matview", _VIEW))
    return verb, command


def names(body: Node) -> list[tuple[str | None, str]]:
    """The relations a statement of the table is about, as ``(schema, name)``."""
    found = [body.get("relation"), *(inner[1] for node in body.get("relations", ()) if (inner := single(node)))]
    ranges = [(one.get("schemaname"), one["relname"]) for one in found if isinstance(one, dict) and "relname" in one]
    return ranges + [name for node in body.get("objects", ()) if (name := _object(node))]


def _object(node: Node) -> tuple[str | None, str] | None:
    kind, body = single(node) or ("", {})
    if kind == "RangeVar":
        return body.get("schemaname"), body["relname"]
    items = [item["String"]["sval"] for item in body.get("items", ()) if "String" in item] if kind == "List" else []
    return (items[-2] if len(items) > 1 else None, items[-1]) if items else None
