"""What recipes promise, for every protocol that has one."""

from __future__ import annotations

import pytest

from tidegate.model.recipe import Recipe
from tidegate.protocols.clients import RECIPES
from tidegate.protocols.registry import PROTOCOLS


def test_every_protocol_has_a_recipe() -> None:
    """Whatever the gateway speaks, a terminal can hand over to its clients."""
    assert RECIPES.keys() == PROTOCOLS.keys()


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_token_is_in_files_only(recipe: Recipe) -> None:
    """No variable and no command line has a place for the token, and one file has."""
    open_texts = [*recipe.environment.values(), *(" ".join((each.lines, *each.argv)) for each in recipe.clients)]
    assert not any("{{token}}" in text for text in open_texts)
    assert any("{{token}}" in draft.text for draft in recipe.files.values())


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_names_are_distinct_and_nothing_is_set_and_unset(recipe: Recipe) -> None:
    """A client is found by its name; what gets in the way is not what points the way."""
    names = [each.name for each in recipe.clients]
    assert len(set(names)) == len(names)
    assert not set(recipe.unset) & recipe.environment.keys()
