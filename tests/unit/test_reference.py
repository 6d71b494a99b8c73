"""The reference pages and the published schema are those that the tool generates."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tidegate.policy.rules import load_bundle

ROOT = Path(__file__).resolve().parents[2]


def test_generated_files_are_current() -> None:
    """Every key, default and meaning in the documentation comes from the code."""
    ran = subprocess.run([sys.executable, ROOT / "tools/reference.py", "--check"], capture_output=True, text=True)
    assert (ran.stdout, ran.returncode) == ("", 0), ran.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "examples/policy").glob("*.yaml")), ids=lambda path: path.stem)
def test_examples_are_policies(path: Path) -> None:
    """Each example loads on its own."""
    assert load_bundle([path]).rules


def test_the_page_shows_a_policy(tmp_path: Path) -> None:
    """The example on the policy page loads."""
    page = (ROOT / "docs/reference/policy.md").read_text()
    example = page.partition("```yaml\n")[2].partition("```")[0]
    (tmp_path / "policy.yaml").write_text(example)
    assert len(load_bundle([tmp_path / "policy.yaml"]).rules) == len(yaml.safe_load(example)["rules"]) + 1
