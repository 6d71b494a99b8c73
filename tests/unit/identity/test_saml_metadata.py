"""A provider's metadata file: read, read anew, and refused when it is not one provider's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tidegate.errors import ConfigError
from tidegate.identity.saml_metadata import Metadata, Peer

MD = 'xmlns="urn:oasis:names:tc:SAML:2.0:metadata" xmlns:ds="http://www.w3.org/2000/09/xmldsig#"'
CERTIFICATE = "<ds:X509Data><ds:X509Certificate>{text}</ds:X509Certificate></ds:X509Data>"
KEY = f"<KeyDescriptor{{use}}><ds:KeyInfo>{CERTIFICATE}</ds:KeyInfo></KeyDescriptor>"
BINDING = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-"
SERVICE = f'<SingleSignOnService Binding="{BINDING}{{kind}}" Location="{{url}}"/>'


def entity(inside: str = "", name: str = "https://idp.example", about: str = "") -> str:
    """A provider that describes itself."""
    descriptor = f"<IDPSSODescriptor{about}>{inside}</IDPSSODescriptor>"
    return f'<EntityDescriptor {MD} entityID="{name}">{descriptor}</EntityDescriptor>'


SIGNING = KEY.format(use=' use="signing"', text="QUJD\n REVG ")
REDIRECT = SERVICE.format(kind="Redirect", url="https://idp.example/sso?a=1&amp;b=2")
GOOD = entity(SIGNING + SERVICE.format(kind="POST", url="https://idp.example/post") + REDIRECT)


def read(path: Path, text: str) -> Peer:
    """What a file says."""
    path.write_text(text)
    return Metadata(path).peer()


def test_a_provider(tmp_path: Path) -> None:
    """Its name, where requests go, and its keys, those for signing or for everything."""
    peer = Peer("https://idp.example", "https://idp.example/sso?a=1&b=2", ["QUJDREVG"])
    assert read(tmp_path / "a", GOOD) == peer
    assert read(tmp_path / "b", f"<EntitiesDescriptor {MD}>{GOOD}</EntitiesDescriptor>") == peer
    keys = KEY.format(use="", text="QQ==") + KEY.format(use=' use="encryption"', text="Qg==")
    assert read(tmp_path / "c", entity(keys + REDIRECT)).certificates == ["QQ=="]


def test_a_new_key_needs_no_restart(tmp_path: Path) -> None:
    """The file is read anew when it has changed."""
    path = tmp_path / "idp.xml"
    path.write_text(GOOD)
    metadata = Metadata(path)
    first = metadata.peer()
    assert metadata.peer() is first
    path.write_text(GOOD.replace("QUJD", "WFla"))
    os.utime(path, ns=(1, 1))
    assert metadata.peer().certificates == ["WFlaREVG"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<a/>",
        "<!DOCTYPE a>" + GOOD,
        entity(REDIRECT),
        entity(SIGNING),
        entity(SIGNING + SERVICE.format(kind="POST", url="https://idp.example/post")),
        entity(SIGNING + SERVICE.format(kind="Redirect", url="http://idp.example/sso")),
        entity(SIGNING + SERVICE.format(kind="Redirect", url="javascript:alert(1)")),
        entity(SIGNING + REDIRECT, name=""),
        entity(SIGNING + REDIRECT, about=' WantAuthnRequestsSigned="true"'),
        entity(KEY.format(use="", text="") + REDIRECT),
        f"<EntitiesDescriptor {MD}>{GOOD}{GOOD}</EntitiesDescriptor>",
        f'<EntityDescriptor {MD} entityID="x"><SPSSODescriptor/></EntityDescriptor>',
    ],
)
def test_files_that_are_refused(tmp_path: Path, text: str) -> None:
    """No provider, several, none that can be reached safely, or no key."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path / "idp.xml", text)
    assert caught.value.code in ("provider.metadata", "provider.address")
    assert caught.value.hint


def test_no_file(tmp_path: Path) -> None:
    """It is told with its name."""
    with pytest.raises(ConfigError, match=r"idp\.xml"):
        Metadata(tmp_path / "idp.xml").peer()
