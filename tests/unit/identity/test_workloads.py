"""Workloads' tokens: whose they are, under which id they are revoked, and what is refused.

How a signature, the times and an audience are checked is tested with the keys (test_keysets.py); this is what is added.
"""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forge import Signer, encoded, key_set, signed, with_secret
from site_server import Site
from tidegate.errors import AgentError, ResourceError, TidegateError
from tidegate.identity.bindings import written
from tidegate.identity.issuer import Issuer
from tidegate.identity.workloads import LONGEST, Bound, Presented, Workloads, token_id
from tidegate.settings_workloads import Workload
from tidegate.store.rows import LinkRow, Store

from .conftest import Watch

ISSUER = "https://cluster.example"
BOT = "system:serviceaccount:prod:bot"


@pytest.fixture
def site() -> Iterator[Site]:
    """The issuer's web server."""
    with Site() as started:
        yield started


@pytest.fixture
def signer(site: Site) -> Signer:
    """The issuer's key, published at /keys."""
    signer = Signer()
    site.publish("/keys", key_set(signer))
    return signer


@pytest.fixture
def issuer_of_it(site: Site) -> Workload:
    """The issuer as settings have it."""
    return Workload(ISSUER, "tidegate", site.url + "/keys", "", frozenset())


@pytest.fixture
def store(tmp_path: Path, issuer: Issuer) -> Store:
    """A real store with a binding of the bot."""
    store = Store(tmp_path / "store.sqlite", issuer)
    store.put_link(link("li_1", "a_bot", sub=BOT))
    return store


@pytest.fixture
def workloads(issuer_of_it: Workload, store: Store, watch: Watch) -> Workloads:
    """The one issuer k8s; the link li_gone was ended."""
    return Workloads({"k8s": issuer_of_it}, store, watch, {"li_gone"})


def link(id: str, subject: str, **conditions: str) -> LinkRow:
    """A binding to tokens of k8s, as it is kept."""
    sub = conditions.get("sub", "")
    return LinkRow(id, "jwt:k8s", "" if "*" in sub else sub, subject, written(conditions), 1)


def claims(watch: Watch, **changes: Any) -> dict[str, Any]:
    """The bot's claims with these changes; None leaves one out."""
    now = watch.seconds
    body = {"iss": ISSUER, "aud": ["tidegate"], "sub": BOT, "iat": now, "exp": now + 600, "jti": "j-1"} | changes
    return {name: value for name, value in body.items() if value is not None}


def verified(workloads: Workloads, token: str, resource: str = "shop") -> Presented:
    """What the token says to us."""
    return asyncio.run(workloads.verify(token, resource))


def refused(workloads: Workloads, token: str, resource: str = "shop") -> TidegateError:
    """The error with which it is refused; nothing of the token is in it or its causes."""
    with pytest.raises(TidegateError) as caught:
        verified(workloads, token, resource)
    told = "".join(traceback.format_exception(caught.value))
    assert not any(len(part) > 20 and part in told for part in token.split("."))
    return caught.value


def test_a_bound_workload_is_known(workloads: Workloads, signer: Signer, watch: Watch) -> None:
    """A token becomes its agent, as often as it is presented, with an id that does not show it."""
    token = signer.token(claims(watch))
    found = verified(workloads, token)
    assert (found.issuer, found.proof, found.expires) == ("k8s", "jwt:k8s", watch.seconds + 600)
    assert workloads.bound(found) == Bound("a_bot", "li_1")
    assert verified(workloads, token).id == found.id == token_id("k8s", "j-1")
    assert "j-1" not in found.id


def test_ids_are_of_the_token_and_its_issuer(workloads: Workloads, signer: Signer, watch: Watch) -> None:
    """The same jti of two issuers is two tokens; without one it is what was signed, never the signature."""
    assert token_id("k8s", "j-1") != token_id("ci", "j-1") != token_id("ci", "", b"j-1")
    body = claims(watch, jti=None)
    one, other = signer.token(body), signer.token(body)
    assert one != other  # ECDSA signs differently each time
    assert verified(workloads, one).id == verified(workloads, other).id
    assert verified(workloads, signer.token(body | {"exp": watch.seconds + 601})).id != verified(workloads, one).id


def test_unknown_issuers_and_wrong_signatures_look_alike(workloads: Workloads, signer: Signer, watch: Watch) -> None:
    """Nobody learns which issuers are trusted, nor gets in by the name of one."""
    unknown = refused(workloads, signer.token(claims(watch, iss="https://other.example")))
    for iss in (None, "", 7, [ISSUER], ISSUER + "/"):
        assert str(refused(workloads, signer.token(claims(watch, iss=iss)))) == str(unknown)
    forged = refused(workloads, Signer().token(claims(watch)))
    assert (str(forged), forged.hint, forged.code) == (str(unknown), unknown.hint, "token.signature")


def test_another_issuers_key_does_not_do(issuer_of_it: Workload, site: Site, store: Store, watch: Watch) -> None:
    """A trusted issuer cannot speak in the name of another one."""
    ours, theirs = Signer(kid="a"), Signer(kid="b")
    other = replace(issuer_of_it, issuer="https://ci.example", keys=site.publish("/ci", key_set(theirs)))
    site.publish("/keys", key_set(ours))
    both = Workloads({"k8s": issuer_of_it, "ci": other}, store, watch, ())
    assert verified(both, theirs.token(claims(watch, iss="https://ci.example"))).issuer == "ci"
    for token in (theirs.token(claims(watch)), theirs.token(claims(watch), kid="a")):
        assert refused(both, token).code == "token.signature"
    presented = verified(both, theirs.token(claims(watch, iss="https://ci.example")))
    with pytest.raises(AgentError, match="nobody of the directory"):
        both.bound(presented)


def test_an_audience_may_name_the_resource(issuer_of_it: Workload, signer: Signer, store: Store, watch: Watch) -> None:
    """With `{resource}` a token for one resource opens no other, nor does one for the gateway."""
    each = Workloads({"k8s": replace(issuer_of_it, audience="tidegate/{resource}")}, store, watch, ())
    token = signer.token(claims(watch, aud="tidegate/shop"))
    assert verified(each, token, "shop").issuer == "k8s"
    assert refused(each, token, "shop2").code == "token.audience"
    for aud in ("tidegate", "tidegate/{resource}", ["tidegate/shop", "tidegate/shop2"], None):
        assert refused(each, signer.token(claims(watch, aud=aud))).code == "token.audience"


def test_a_token_of_somebody_acted_for_is_refused(workloads: Workloads, signer: Signer, watch: Watch) -> None:
    """A chain in the workload's own token is never believed, nor overlooked."""
    for act in ({"sub": "u_alice"}, None, {}, "a_bot"):
        body = claims(watch) | {"act": act}
        assert refused(workloads, signer.token(body)).code == "token.delegated"


def test_a_token_for_years_is_refused(workloads: Workloads, signer: Signer, watch: Watch) -> None:
    """What a workload presents must end within a day."""
    verified(workloads, signer.token(claims(watch, exp=watch.seconds + LONGEST)))
    assert refused(workloads, signer.token(claims(watch, exp=watch.seconds + LONGEST + 1))).code == "token.lasting"


def test_forgeries(workloads: Workloads, signer: Signer, watch: Watch) -> None:
    """No algorithm, a public key as a secret, keys brought along or pointed at, and doubled claims open nothing."""
    body, public = claims(watch), signer.public
    header = {"alg": "ES256", "kid": "k1"}
    evil = Signer()
    pem = signer.key.as_pem(private=False)
    forged = [
        f"{encoded({'alg': 'none'})}.{encoded(body)}.",
        f"{encoded({'alg': 'none'})}.{encoded(body)}.AA",
        with_secret({"alg": "HS256", "kid": "k1"}, body, pem),
        with_secret({"alg": "HS256", "kid": "k1"}, body, json.dumps(public).encode()),
        with_secret(header, body, pem),
        evil.token(body, jwk=evil.public),
        evil.token(body, jku="http://127.0.0.1:1/keys"),
        evil.token(body, x5u="http://127.0.0.1:1/keys"),
        evil.token(body, x5c=["MII"]),
        evil.token(body, kid="../../../../dev/null"),
        evil.token(body, kid="k1' OR '1'='1"),
        evil.token(body, kid="http://127.0.0.1:1/keys"),
        evil.token(body, kid=["k1"]),
        signed(header, json.dumps(body)[:-1].encode() + b',"sub":"x"}', signer.key, "ES256"),
        signed(b'{"alg":"none","alg":"ES256","kid":"k1"}', body, signer.key, "ES256"),
        signer.token(claims(watch, exp=None)),
        signer.token(claims(watch, exp=watch.seconds)),
        signer.token(claims(watch, nbf=watch.seconds + 3600)),
        signer.token(claims(watch, pad="x" * 17_000)),
    ]
    for token in forged:
        assert refused(workloads, token).code.startswith("token.")


@pytest.mark.parametrize(
    "rows",
    [
        [link("li_1", "a_bot", sub="another")],
        [link("li_1", "a_bot", sub=BOT, ns="prod")],
        [link("li_1", "a_bot", sub=BOT), link("li_2", "a_thief", sub=BOT)],
        [link("li_1", "a_bot", sub=BOT), link("li_2", "a_thief", sub="system:serviceaccount:prod:*", client_id="c")],
        [replace(link("li_1", "a_bot", sub=BOT), provider="jwt:ci")],
        [replace(link("li_1", "a_bot", sub=BOT), provider="k8s")],
        [link("li_gone", "a_bot", sub=BOT)],
    ],
)
def test_who_is_not_bound(
    issuer_of_it: Workload, tmp_path: Path, issuer: Issuer, signer: Signer, watch: Watch, rows: list[LinkRow]
) -> None:
    """Other conditions, another issuer's, an ended link, two identities that could both be meant: all told alike."""
    store = Store(tmp_path / "other.sqlite", issuer)
    for row in rows:
        store.put_link(row)
    workloads = Workloads({"k8s": issuer_of_it}, store, watch, {"li_gone"})
    with pytest.raises(AgentError) as caught:
        workloads.bound(verified(workloads, signer.token(claims(watch, client_id="c"))))
    assert caught.value.code == "identity.unbound"


def test_two_bindings_of_one_agent(store: Store, workloads: Workloads, signer: Signer, watch: Watch) -> None:
    """It is the identity that must be beyond doubt."""
    store.put_link(link("li_2", "a_bot", sub="system:serviceaccount:*:bot", client_id="c"))
    assert workloads.bound(verified(workloads, signer.token(claims(watch, client_id="c")))).subject == "a_bot"


def test_keys_from_elsewhere(site: Site, store: Store, signer: Signer, watch: Watch, tmp_path: Path) -> None:
    """A file, or the discovery document where nothing is said; both as settings write them."""
    path = tmp_path / "keys.json"
    path.write_text(json.dumps(key_set(signer)))
    site.publish("/.well-known/openid-configuration", {"issuer": site.url, "jwks_uri": site.url + "/keys"})
    filed = Workload(ISSUER, "tidegate", f"file:{path}", "", frozenset({"ES256"}))
    found = Workload(site.url, "tidegate", "", "", frozenset())
    both = Workloads({"k8s": filed, "found": found}, store, watch, ())
    assert verified(both, signer.token(claims(watch))).issuer == "k8s"
    assert verified(both, signer.token(claims(watch, iss=site.url))).issuer == "found"


def test_keys_that_cannot_be_had(store: Store, signer: Signer, watch: Watch, tmp_path: Path) -> None:
    """The agent hears that it is not its fault, and no path of this machine."""
    gone = Workload(ISSUER, "tidegate", f"file:{tmp_path}/gone.json", "", frozenset())
    error = refused(Workloads({"k8s": gone}, store, watch, ()), signer.token(claims(watch)))
    assert isinstance(error, ResourceError) and str(tmp_path) not in error.message + error.hint


def test_algorithms_can_be_fewer(issuer_of_it: Workload, store: Store, signer: Signer, watch: Watch) -> None:
    """An issuer that signs with RS256 alone is believed by nothing else."""
    strict = Workloads({"k8s": replace(issuer_of_it, algorithms=frozenset({"RS256"}))}, store, watch, ())
    assert refused(strict, signer.token(claims(watch))).code in ("token.signature", "token.malformed")
