"""What users install: from a source distribution, with a compiler and without."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command: str, where: Path, **environment: str) -> str:
    """Everything a command says; it must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=where,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source distribution of what is here."""
    place = tmp_path_factory.mktemp("sources")
    run("hatchling", "build", "-t", "sdist", "-d", str(place), where=ROOT)
    return next(place.glob("*.tar.gz"))


@pytest.mark.parametrize(
    ("environment", "said"), [({"CC": "/bin/false"}, "CompileError"), ({"TIDEGATE_PURE": "1"}, "")]
)
def test_without_a_compiler_it_is_plain_python(
    sources: Path, tmp_path: Path, environment: dict[str, str], said: str
) -> None:
    """A compiler that fails, or that nobody wants, is no failure: the wheel is plain Python, for any machine."""
    output = run(
        "pip",
        "wheel",
        "-v",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        ".",
        str(sources),
        where=tmp_path,
        **environment,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert wheel.name.endswith("-py3-none-any.whl")
    assert "tidegate/wire/_frames.py" in names and not [name for name in names if name.endswith(".so")]
    assert {"tidegate/web/browser/templates/base.html", "tidegate/web/browser/static/style.css"} <= set(names)
    assert ("plain Python, because compiling failed" in output, said in output) == (bool(said), True)
