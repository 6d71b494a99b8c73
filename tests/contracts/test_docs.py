"""What the documentation says is so: commands parse, targets exist, links lead somewhere, examples load."""

from __future__ import annotations

import json
import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path

import jsonschema
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


@pytest.mark.parametrize("name", ["write-a-policy", "pg-dump", "orm-migrations"])
def test_the_policy_of_the_howto_loads(name: str, tmp_path: Path) -> None:
    """The rules on the page, taken together as a reader would type them, are a policy."""
    page = (ROOT / "docs" / "howto" / f"{name}.md").read_text()
    (tmp_path / "policy.yaml").write_text("".join(re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)))
    assert len(load_bundle([tmp_path / "policy.yaml"]).rules) > 4


def test_the_settings_and_the_rule_of_workloads_load(tmp_path: Path) -> None:
    """The first block of the page is a section of tidegate.yaml, the second a policy; the program compiles."""
    page = (ROOT / "docs" / "howto" / "connect-a-workload.md").read_text()
    section, rule = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    example = next((ROOT / "examples").rglob("tidegate.yaml"))
    (tmp_path / "tidegate.yaml").write_text(f"{example.read_text()}\n{section}")
    assert set(load(tmp_path / "tidegate.yaml").workloads) == {"cluster", "ci", "filed"}
    (tmp_path / "policy.yaml").write_text(rule)
    assert any(each.get("standing") for each in load_bundle([tmp_path / "policy.yaml"]).rules)
    (program,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    compile(program, "page", "exec")


def test_the_rules_about_access_load(tmp_path: Path) -> None:
    """The two rules of the page are a policy."""
    page = (ROOT / "docs" / "howto" / "ask-for-access.md").read_text()
    (tmp_path / "policy.yaml").write_text("".join(re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)))
    assert {"agents-ask-first", "on-call"} < {rule["id"] for rule in load_bundle([tmp_path / "policy.yaml"]).rules}


def test_the_providers_of_the_howto_load(tmp_path: Path) -> None:
    """The providers on the page, added to a configuration, are accepted."""
    page = (ROOT / "docs" / "howto" / "log-in-with-a-provider.md").read_text()
    written = "".join(re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    recipient = "age1" + "q" * 58
    head = "organisation: example.org\ngateway: gw1\npolicy: {files: [policy.yaml]}\n"
    (tmp_path / "tidegate.yaml").write_text(head + f"recording: {{auditors: [{recipient}]}}\n" + written)
    assert set(load(tmp_path / "tidegate.yaml").login.providers) == {"corp", "partner"}


def test_the_settings_of_the_howto_load(tmp_path: Path) -> None:
    """Each block on the page about secrets, put into a file as a reader would, is accepted."""
    page = (ROOT / "docs" / "howto" / "upstream-secrets.md").read_text()
    blocks = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    rest = "organisation: example.org\ngateway: gw1\npolicy: {files: [policy.yaml]}\n"
    rest += f"recording: {{auditors: [age1{'q' * 58}]}}\n"
    for block in blocks:
        (tmp_path / "tidegate.yaml").write_text(rest + block)
        assert load(tmp_path / "tidegate.yaml").resources["shop"].secret
    assert len(blocks) == 3


def test_every_error_code_is_documented() -> None:
    """The page of errors is what its tool would write now: `python tools/errors_reference.py`."""
    page = runpy.run_path(str(ROOT / "tools" / "errors_reference.py"))["page"]
    assert (ROOT / "docs" / "reference" / "errors.md").read_text() == page()


def test_the_channels_of_the_howto_are_settings(tmp_path: Path) -> None:
    """Each section on the page is accepted as it stands."""
    page = (ROOT / "docs" / "howto" / "notifications.md").read_text()
    sections = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    head = "organisation: example.org\ngateway: gw1\npolicy: {files: [policy.yaml]}\n"
    head += f"recording: {{auditors: [age1{'q' * 58}]}}\n"
    for section in sections:
        (tmp_path / "tidegate.yaml").write_text(head + section)
        assert load(tmp_path / "tidegate.yaml").notify.channels
    assert len(sections) == 2


def test_the_webhook_of_the_howto_is_one() -> None:
    """The example is what the published schema describes."""
    page = (ROOT / "docs" / "howto" / "notifications.md").read_text()
    (example,) = re.findall(r"^```json\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    schema = json.loads((ROOT / "src" / "tidegate" / "notify" / "webhook.schema.json").read_text())
    jsonschema.validate(json.loads(example), schema, format_checker=jsonschema.FormatChecker())
