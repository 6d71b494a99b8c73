"""YAML with lines, and complaints that name them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.document import Duration, Size, Strict, choice, closest, read, text, validate
from tidegate.errors import ConfigError


class Shape(Strict):
    name: Annotated[str, text("[a-z]+", "must be letters")] = "x"
    mode: Annotated[str, choice("fast", "slow")] = "fast"
    wait: Duration = 1
    room: Size = 1


def written(directory: Path, content: str) -> Path:
    path = directory / "file.yaml"
    path.write_text(content)
    return path


def test_words_stay_words(tmp_path: Path) -> None:
    """`on`, `yes`, `1:30` and dates are text; true, false, null and plain digits are not."""
    data = read(written(tmp_path, "on: [yes, 1:30, 2026-01-02, 1.5, 012, true, 12, ~]")).data
    assert data == {"on": ["yes", "1:30", "2026-01-02", "1.5", "012", True, 12, None]}


def test_lines_of_keys_and_items(tmp_path: Path) -> None:
    """Every key and list item knows its line; what is not there has that of its surroundings."""
    document = read(written(tmp_path, "a:\n  b:\n    - 1\n    - c: 2\n"))
    assert [document.line(at) for at in [("a", "b"), ("a", "b", 1, "c"), ("a", "z"), ()]] == [2, 4, 1, 1]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("a: 1\na: 2\n", r"file\.yaml:2: the key \"a\" is there twice"),
        ("a: &x 1\nb: *x\n", r"file\.yaml:2: aliases are not supported"),
        ("a: [1\n", r"file\.yaml:2: "),
        ("? [a]\n: 1\n", r"file\.yaml:1: a key must be plain text"),
        ("a: !!python/object:os.system x\n", r"file\.yaml:1: "),
        ("[" * 5000, "not well-formed"),
        ("\x00", "not well-formed"),
    ],
)
def test_faulty_files(tmp_path: Path, content: str, says: str) -> None:
    """Duplicates, aliases, odd keys, tags and plain garbage are refused."""
    with pytest.raises(ConfigError, match=says):
        read(written(tmp_path, content))


def test_a_missing_file(tmp_path: Path) -> None:
    """The complaint names the file."""
    with pytest.raises(ConfigError, match=r"nothing\.yaml: cannot be read"):
        read(tmp_path / "nothing.yaml")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("nam: x", r":1: nam: unknown key; did you mean \"name\"\?"),
        ("name: UP", "name: must be letters"),
        ("name: 5", "name: must be text: put it in quotes"),
        ("name:", "name: is empty"),
        ("mode: fest", r"must be one of fast, slow; did you mean \"fast\"\?"),
        ("wait: 5", "must be a duration"),
        ("wait: 0s", "must be a duration"),
        ("room: 5MB", "must be a size"),
        ("- 1", "must be a mapping"),
        ("", "must be a mapping"),
    ],
)
def test_complaints_say_what_to_write(tmp_path: Path, content: str, says: str) -> None:
    """Each names line and key, and what stands there instead."""
    with pytest.raises(ConfigError, match=says):
        validate(read(written(tmp_path, content)), Shape)


@given(st.text(alphabet="HUNTER", min_size=6, max_size=12))
def test_no_complaint_repeats_a_value(tmp_path_factory: pytest.TempPathFactory, secret: str) -> None:
    """A secret in the wrong place is not echoed."""
    for key in ("name", "mode", "wait", "room"):
        path = written(tmp_path_factory.mktemp("d"), f"{key}: {secret}")
        with pytest.raises(ConfigError) as error:
            validate(read(path), Shape)
        assert secret not in str(error.value)


def test_units(tmp_path: Path) -> None:
    """Durations become seconds, sizes bytes."""
    shape = validate(read(written(tmp_path, "{wait: 8h, room: 2MiB}")), Shape)
    assert (shape.wait, shape.room) == (28_800, 2_097_152)


def test_closest_lists_what_is_known() -> None:
    """With nothing near, the known keys are listed."""
    assert closest("zzz", ["one", "two"]) == "known here: one, two"
