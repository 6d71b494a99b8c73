"""The recipes for native clients, by protocol: one line each. Imports no part of the server, for the command line."""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.model.recipe import Recipe

from . import http_clients, postgres_clients, redis_clients

RECIPES: Mapping[str, Recipe] = {
    "postgres": postgres_clients.RECIPE,
    "http": http_clients.RECIPE,
    "redis": redis_clients.RECIPE,
}
