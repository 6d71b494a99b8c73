"""Policies from text, and the people of every test."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tidegate.model.identity import Hop, Identity, Kind
from tidegate.model.resource import Address, Resource
from tidegate.policy.engine import Engine
from tidegate.policy.rules import Bundle, load_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Callable[..., Bundle]:
    """A bundle from the text of one or more policy files."""

    def build(*texts: str) -> Bundle:
        paths = [tmp_path / f"policy{number}.yaml" for number in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(textwrap.dedent(text))
        return load_bundle(paths)

    return build


@pytest.fixture
def engine(bundle: Callable[..., Bundle]) -> Callable[..., Engine]:
    """An engine from the text of policy files."""
    return lambda *texts: Engine(bundle(*texts))


@pytest.fixture
def alice() -> Identity:
    """A person of the staff."""
    return Identity((Hop("u_1", "alice", Kind.USER, ("staff",)),))


@pytest.fixture
def agent(alice: Identity) -> Identity:
    """Her agent."""
    return Identity((*alice.chain, Hop("a_claude-code", "claude-code", Kind.AGENT, ("agents",))))


@pytest.fixture
def shop() -> Resource:
    """A production resource."""
    return Resource("shop", "any", Address("127.0.0.1", 5432), labels={"env": "prod"})
