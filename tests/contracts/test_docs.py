"""What the documentation says is so: commands parse, targets exist, links lead somewhere, examples load."""

from __future__ import annotations

import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidegate.cli.main import build
from tidegate.policy.rules import load_bundle
from tidegate.settings import load

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
FENCE = re.compile(r"^```(?:console|sh|bash)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def commands() -> Iterator[tuple[str, str]]:
    """Every fenced line that runs tidegate: the page it is on, and the line."""
    for page in PAGES:
        for block in FENCE.findall(page.read_text()):
            for line in block.splitlines():
                if line.startswith("tidegate "):
                    yield str(page.relative_to(ROOT)), line.split("  #")[0]


@pytest.mark.parametrize(("page", "line"), list(commands()))
def test_every_command_on_a_page_parses(page: str, line: str) -> None:
    """A reader may type each fenced command as it stands."""
    arguments = ["1" if word == "INDEX" else word for word in shlex.split(line)[1:]]
    build().parse_args(arguments, exit_on_error=False, print_error=False)


def test_every_make_target_on_a_page_exists() -> None:
    """`make X` in the documentation is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"(?:^|`)make ([a-z]+)", page.read_text(), re.MULTILINE)}
    assert {"demo", "test"} <= named <= targets


def test_every_link_leads_to_a_file() -> None:
    """No relative link on a page is broken."""
    links = ((page, link) for page in PAGES for link in LINK.findall(page.read_text()) if "://" not in link)
    broken = [f"{page.relative_to(ROOT)}: {link}" for page, link in links if not (page.parent / link).exists()]
    assert not broken


def test_every_decision_is_listed() -> None:
    """The index of decisions names each page, and numbers have no holes."""
    pages = sorted(path.name for path in (ROOT / "docs" / "adr").glob("0*.md"))
    index = (ROOT / "docs" / "adr" / "README.md").read_text()
    assert all(f"({name})" in index for name in pages)
    assert [int(name[:4]) for name in pages] == list(range(1, len(pages) + 1))


@pytest.mark.parametrize("path", sorted((ROOT / "examples").rglob("tidegate.yaml")), ids=str)
def test_every_example_loads(path: Path) -> None:
    """An example's configuration and policy are accepted as they stand."""
    settings = load(path)
    assert settings.resources
    assert load_bundle(settings.policy.files).rules


def test_the_policy_of_the_howto_loads(tmp_path: Path) -> None:
    """The rules on the page, taken together as a reader would type them, are a policy."""
    page = (ROOT / "docs" / "howto" / "write-a-policy.md").read_text()
    (tmp_path / "policy.yaml").write_text("".join(re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)))
    assert len(load_bundle([tmp_path / "policy.yaml"]).rules) > 5


def test_every_error_code_is_documented() -> None:
    """The page of errors is what its tool would write now: `python tools/errors_reference.py`."""
    page = runpy.run_path(str(ROOT / "tools" / "errors_reference.py"))["page"]
    assert (ROOT / "docs" / "reference" / "errors.md").read_text() == page()
