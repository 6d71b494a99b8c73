"""Tokens and grants, over HTTP."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tidegate.cli.token import key_pair
from unit.web.world import World


def test_minted_token_carries_the_chain(staffed: World) -> None:
    """A minted token is for one resource and says who acts for whom."""
    minted = staffed.mint(agent="claude-code", ttl=60).json()
    claims = staffed.issuer.verify(minted["token"], "resource:shop")
    assert (minted["title"], claims.chain[1], claims.grant) == (
        "alice -> claude-code",
        "a_claude-code",
        minted["grant"],
    )


def test_a_certificate_takes_the_tokens_place(staffed: World) -> None:
    """For a public key a certificate comes back, and no token beside it; for something else an error."""
    minted = staffed.mint(agent="claude-code", public_key=key_pair()[1]).json()
    made = x509.load_pem_x509_certificate(minted["certificate"].encode()).public_bytes(Encoding.DER)
    claims = staffed.issuer.verify_certificate(made, "resource:shop")
    assert (claims.id, minted["token"]) == (minted["id"], "")
    refused = staffed.mint(public_key="x")
    assert (refused.status_code, refused.json()["code"]) == (400, "request.key")


def test_tokens_are_listed_without_the_token(staffed: World) -> None:
    """Lists show what is kept of tokens and grants; a person sees only their own."""
    minted = staffed.mint(reason="look").json()
    tokens, grants = staffed.get("/tokens", "alice"), staffed.get("/grants", "alice")
    assert (tokens.json()["items"][0]["id"], grants.json()["items"][0]["reason"]) == (minted["id"], "look")
    assert minted["token"] not in tokens.text
    assert staffed.get("/grants", "eve").json()["items"] == []
    assert minted["id"] in staffed.get("/tokens", "root").text


def test_pages_of_tokens(staffed: World) -> None:
    """The cursor leads to the rest of the list."""
    for _ in range(3):
        staffed.mint()
    first = staffed.get("/tokens", "alice", limit=2).json()
    rest = staffed.get("/tokens", "alice", limit=2, cursor=first["next"]).json()
    assert len({row["id"] for row in first["items"] + rest["items"]}) == 4


def test_revoked_token_shows_as_revoked(staffed: World) -> None:
    """DELETE ends a token by its own id or its grant's, and the lists say so."""
    for key in ("id", "grant"):
        minted = staffed.mint().json()
        assert staffed.delete(f"/tokens/{minted[key]}", "alice").json() == {"tokens": 1}
        states = {row["id"]: row["state"] for row in staffed.get("/tokens", "alice").json()["items"]}
        assert states[minted["id"]] == "revoked"


def test_others_tokens_stay(staffed: World) -> None:
    """Revoking what is not yours is refused."""
    minted = staffed.mint().json()
    assert staffed.delete(f"/tokens/{minted['id']}", "bob").status_code == 403
