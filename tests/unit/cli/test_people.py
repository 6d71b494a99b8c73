"""People."""

from __future__ import annotations

from unit.cli.desk import Desk


def test_add_prints_only_the_code(seated: Desk) -> None:
    """Standard output has the code and nothing else, so that it can be piped."""
    done = seated.types("people", "add", "dave", "-g", "staff", "-g", "ops", by="root")
    assert (done.status, len(done.out.split()), "tidegate login" in done.err) == (0, 1, True)


def test_listing(seated: Desk) -> None:
    """An administrator sees everybody in a table, others themselves."""
    assert "alice" in seated.types("people", "ls", by="root").out
    assert "alice" not in seated.types("people", "ls", by="eve").out


def test_only_administrators_add(seated: Desk) -> None:
    """Without permission the status is 77 and the hint names the ability."""
    done = seated.types("people", "add", "mallory", by="alice")
    assert (done.status, "operate" in done.err, done.out) == (77, True, "")


def test_disable_ends_the_login(seated: Desk) -> None:
    """Who was disabled is shown so in the list, and their login is over."""
    assert seated.types("people", "disable", "eve", by="alice").status == 77
    assert seated.types("people", "disable", "eve", by="root").status == 0
    assert seated.types("whoami", by="eve").status == 77
    assert "disabled" in seated.types("people", "ls", by="root").out
