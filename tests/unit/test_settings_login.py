"""How people log in, as it is written: what it becomes, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tidegate.errors import ConfigError
from tidegate.settings import Settings, load
from tidegate.settings_login import Joining, Login, Oidc, Saml, Web, public_host

BASIC = f"""\
organisation: example.org
gateway: gw1
policy: {{files: [policy.yaml]}}
recording: {{auditors: [age1{"q" * 58}]}}
"""
WEB = BASIC + "web: {url: https://gw.example.org}\n"
OIDC = WEB + "login:\n  providers:\n    corp: {kind: oidc, issuer: https://idp.example, client_id: tidegate%s}\n"
SAML = WEB + "login:\n  providers:\n    corp: {kind: saml, metadata: idp.xml%s}\n"
Load = Callable[[str], Settings]


@pytest.fixture
def loaded(tmp_path: Path) -> Load:
    """Settings from text."""

    def build(content: str) -> Settings:
        path = tmp_path / "tidegate.yaml"
        path.write_text(content)
        return load(path)

    return build


def test_nothing_written(loaded: Load) -> None:
    """No provider, half a day, no public address."""
    settings = loaded(BASIC)
    assert (settings.login, settings.web) == (Login({}, 43_200), None)


def test_an_oidc_provider(loaded: Load, tmp_path: Path) -> None:
    """Nobody joins and no group counts unless it is written."""
    joining = Joining(False, {}, "groups", "email", "")
    scopes = ("openid", "profile", "email")
    plain = Oidc("corp", joining, "https://idp.example", "tidegate", "", scopes, False, "")
    assert loaded(OIDC % "").login.providers == {"corp": plain}
    more = ", title: Corp, secret: env:S, ca: ca.pem, join: true, groups: {Domain Admins: admins}, userinfo: true"
    found = loaded(OIDC % (more + ", scopes: [openid, groups]")).login.providers["corp"]
    assert isinstance(found, Oidc)
    assert (found.title, found.secret, found.ca) == ("Corp", "env:S", str(tmp_path / "ca.pem"))
    assert (found.joining.join, found.joining.groups) == (True, {"Domain Admins": "admins"})
    assert (found.scopes, found.userinfo) == (("openid", "groups"), True)


def test_a_saml_provider(loaded: Load, tmp_path: Path) -> None:
    """Its metadata is a file beside the settings."""
    joining = Joining(False, {}, "groups", "email", "")
    assert loaded(SAML % "").login.providers["corp"] == Saml("corp", joining, tmp_path / "idp.xml", "", "")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://gw.example.org", "gw.example.org"),
        ("https://GW.example.org:8443/", "gw.example.org"),
        ("http://127.0.0.1:7443", "127.0.0.1"),
        ("http://[::1]:7443", "[::1]"),
        ("http://localhost", "localhost"),
    ],
)
def test_public_addresses(loaded: Load, url: str, host: str) -> None:
    """With TLS, or on this machine; the name is as a Host header has it."""
    assert loaded(BASIC + f"web: {{url: '{url}'}}\n").web == Web(url.rstrip("/"), host)


@pytest.mark.parametrize(
    "url",
    [
        "http://gw.example.org",
        "gw.example.org",
        "ftp://gw.example.org",
        "https://",
        "https://gw.example.org/path",
        "https://gw.example.org?x=1",
        "https://gw.example.org#x",
        "https://me@gw.example.org",
        "https://gw.example.org:x",
        "https://gw ex.org",
        "https://gw.exämple.org",
        "https://[::1",
        "http://127.0.0.1.evil.example",
    ],
)
def test_addresses_that_are_refused(loaded: Load, url: str) -> None:
    """In the clear, with more than a name, or in no good form."""
    with pytest.raises(ConfigError, match=r"web\.url"):
        loaded(BASIC + f"web: {{url: '{url}'}}\n")


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        (OIDC.replace("web: {url: https://gw.example.org}\n", "") % "", 6, "need a public address"),
        (OIDC % "" + "  life: 25h\n", 9, "a day at most"),
        (OIDC.replace("kind: oidc", "kind: ldap") % "", 8, "kind"),
        (OIDC.replace("https://idp", "http://idp") % "", 8, "issuer"),
        (OIDC.replace("https://idp.example", "'https://idp.example?x'") % "", 8, "issuer"),
        (OIDC.replace(", client_id: tidegate", "") % "", 8, "client_id"),
        (OIDC % ", secret: hunter2", 8, "write env:NAME"),
        (OIDC % ", scopes: [profile]", 8, "openid"),
        (OIDC % ", scopes: ['openid x']", 8, "scope"),
        (OIDC % ", groups: {a: ADMINS}", 8, "must be a group"),
        (OIDC % ", metadata: idp.xml", 8, "means nothing"),
        (SAML % ", issuer: https://idp.example", 8, "means nothing"),
        (SAML % ", secret: env:S", 8, "means nothing"),
        (SAML.replace(", metadata: idp.xml", "") % "", 8, "metadata"),
        (SAML % ", jion: true", 8, 'did you mean "join"?'),
    ],
)
def test_faults_name_the_line(loaded: Load, content: str, line: int, says: str) -> None:
    """What another kind needs, what is missing, what is in the clear."""
    with pytest.raises(ConfigError) as caught:
        loaded(content)
    assert says in caught.value.message
    assert "hunter2" not in caught.value.message
    assert caught.value.path.endswith(f"tidegate.yaml:{line}")


def test_no_host() -> None:
    """A text that is no address has none."""
    assert public_host("\ud800") is None
