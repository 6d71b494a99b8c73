"""Write the generated parts of docs/reference/settings.md and policy.md, and the published policy schema.

`python tools/reference.py` writes, `python tools/reference.py --check` only says whether something is out of date.
A generated part stands between `<!-- generated: NAME -->` and `<!-- end -->`; the rest of a page is written by hand.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from tidegate import settings_file as shape
from tidegate.policy import rules

ROOT = Path(__file__).resolve().parents[1]
PARTS: dict[str, type[BaseModel]] = {
    "settings": shape.SettingsFile,
    "tls": shape.TlsFile,
    "policy": shape.PolicyFile,
    "recording": shape.RecordingFile,
    "resource": shape.ResourceFile,
    "login": shape.LoginFile,
    "provider": shape.ProviderFile,
    "web": shape.WebFile,
    "vault": shape.VaultFile,
    "vaultauth": shape.VaultAuthFile,
    "limits": shape.LimitsFile,
    "workload": shape.WorkloadFile,
    "audit": shape.AuditFile,
    "notify": shape.NotifyFile,
    "channel": shape.ChannelFile,
    "rule": rules.Rule,
    "who": rules.Who,
    "on": rules.On,
    "limit": rules.Limit,
    "approvers": rules.Approving,
}
_BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(part: type[BaseModel]) -> str:
    """One Markdown row per key."""
    rows = ["| key | default | meaning |", "|---|---|---|"]
    for name, field in part.model_fields.items():
        rows.append(f"| `{field.alias or name}` | {default(field)} | {field.description} |")
    return "\n".join(rows) + "\n"


def default(field: Any) -> str:
    """How a default is written in the file."""
    if field.is_required():
        return "required"
    if field.default_factory is not None or field.default in (None, ""):
        return ""
    return f"`{quantity(field)}`"


def quantity(field: Any) -> str:
    """Sizes and durations with their units."""
    pattern = next((form.schema.get("pattern", "") for form in field.metadata if hasattr(form, "schema")), "")
    units = [("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)] if "KiB" in pattern else [("h", 3600), ("m", 60), ("s", 1)]
    if isinstance(field.default, int) and ("KiB" in pattern or "(s|m|h)" in pattern):
        return next(f"{field.default // size}{unit}" for unit, size in units if field.default % size == 0)
    return str(field.default).lower() if isinstance(field.default, bool) else str(field.default)


def page(text: str) -> str:
    """The page with its generated parts made anew."""
    return _BLOCK.sub(lambda found: found[1] + table(PARTS[found[2]]) + found[3], text)


def generated() -> dict[Path, str]:
    """Every file that this tool keeps, as it should be."""
    pages = [ROOT / "docs" / "reference" / name for name in ("settings.md", "policy.md")]
    schema = json.dumps(rules.schema(), indent=2) + "\n"
    return {**{path: page(path.read_text()) for path in pages}, ROOT / "src/tidegate/policy/schema.json": schema}


def main() -> int:
    """Write, or with --check report what is out of date."""
    stale = {path: text for path, text in generated().items() if not path.exists() or path.read_text() != text}
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is out of date: run python tools/reference.py")
        return 1 if stale else 0
    for path, text in stale.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
