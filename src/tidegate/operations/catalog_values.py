"""Which of PostgreSQL's own catalogs hold stored values or secrets, and so are tagged from the start.

Values leak into catalogs as statistics, as defaults and as other sessions' statements; secrets are password hashes,
connection strings, keys and files (rule 5 of the design: no wildcard allows reading them).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tidegate.model.resource import Field

_TAG = "catalog.values"

HOLDS_VALUES: Mapping[str, str] = dict.fromkeys(
    [
        "pg_catalog.pg_cursors",
        "pg_catalog.pg_prepared_statements",
        "pg_catalog.pg_prepared_xacts",
        "pg_catalog.pg_stat_activity",
        "pg_catalog.pg_stat_wal_receiver",
        "pg_catalog.pg_statistic",
        "pg_catalog.pg_statistic_ext_data",
        "pg_catalog.pg_stats",
        "pg_catalog.pg_stats_ext",
        "pg_catalog.pg_stats_ext_exprs",
        "public.pg_stat_statements",
    ],
    _TAG,
)
"""Object -> tag of every column of it."""

VALUE_FIELDS: Mapping[Field, str] = {
    Field("pg_catalog.pg_attribute", "attmissingval"): _TAG,
}
"""Single fields that hold values in catalogs which are otherwise harmless. Definitions (defaults, partition bounds,
view texts) are what somebody wrote in DDL, and clients show them in every description of a table: they are clear."""

HOLDS_SECRETS: frozenset[str] = frozenset(
    {
        "information_schema._pg_user_mappings",
        "information_schema.user_mapping_options",
        "pg_catalog.pg_authid",
        "pg_catalog.pg_file_settings",
        "pg_catalog.pg_hba_file_rules",
        "pg_catalog.pg_ident_file_mappings",
        "pg_catalog.pg_largeobject",
        "pg_catalog.pg_shadow",
        "pg_catalog.pg_user_mapping",
        "pg_catalog.pg_user_mappings",
    }
)
"""Objects whose reading is refused unless policy names it."""

SECRET_FIELDS: frozenset[Field] = frozenset({Field("pg_catalog.pg_subscription", "subconninfo")})
"""Single secrets of catalogs that clients may otherwise look at: a dump counts the subscriptions."""

_SECRET_FUNCTION = re.compile(
    r"pg_read_(binary_)?file(_old|_off_len|_all)?|pg_ls_\w+|pg_stat_file|pg_current_logfile|lo_(get|open|export|import)"
    r"|loread|pg_hba_file_rules|pg_ident_file_mappings|pg_show_all_file_settings|(database|schema)_to_xml\w*"
)


def reads_secrets(function: str) -> bool:
    """Whether a function of this name (without schema) reads the server's files, secrets or large objects."""
    return _SECRET_FUNCTION.fullmatch(function) is not None
