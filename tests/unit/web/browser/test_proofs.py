"""The proof in a form."""

from __future__ import annotations

import pytest

from tidegate.errors import AgentError
from tidegate.web.browser.proofs import challenge_of, offered


def test_only_fields_of_a_proof_are_taken() -> None:
    """What else is in the form is not part of it; blanks in a one-time password are for people."""
    form = {"method": "password", "password": "p", "otp": "123 456", "reason": "r", "ticket": "t", "name": ""}
    assert offered(form) == {"method": "password", "password": "p", "otp": "123456"}


@pytest.mark.parametrize("form", [{}, {"password": "p"}, {"method": "x" * 17}, {"method": "", "password": "p"}])
def test_a_form_without_a_method_has_none(form: dict[str, str]) -> None:
    """Nothing is guessed."""
    assert offered(form) == {}


def test_other_errors_go_on() -> None:
    """Only the error that asks for a proof has a challenge."""
    error = AgentError("no", code="stepup.wrong")
    with pytest.raises(AgentError) as raised:
        challenge_of(error)
    assert raised.value is error
