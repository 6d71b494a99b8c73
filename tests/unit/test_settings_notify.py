"""The section `notify` of tidegate.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.errors import ConfigError
from tidegate.model.resource import Address
from tidegate.settings import load
from tidegate.settings_notify import EmailChannel, Notify, SlackChannel, WebhookChannel

BASIC = f"""\
organisation: example.org
gateway: gw1
policy: {{files: [policy.yaml]}}
recording: {{auditors: [age1{"q" * 58}]}}
"""
WHOLE = """\
notify:
  channels:
    chat: {kind: slack, token: env:TOKEN, channel: C1, buttons: answer, signing: 'file:signing', team: T1}
    hook: {kind: webhook, url: 'https://hooks.example.org/a', secret: store:hook, ca: ca.pem, reasons: true}
    mail: {kind: email, server: 'mail.example.org:587', sender: gw@example.org, to: [dba@example.org]}
  routes: {dba: [chat, mail]}
  default: [hook]
"""
SLACK = "kind: slack, token: env:T, channel: C1"
HOOK = "kind: webhook, url: 'https://a.example', secret: env:S"
MAIL = "kind: email, server: 'mail.example.org:25', sender: a@example.org, to: [b@example.org]"


def loaded(tmp_path: Path, text: str) -> Notify:
    """The section."""
    path = tmp_path / "tidegate.yaml"
    path.write_text(BASIC + text)
    return load(path).notify


def channel(words: str) -> str:
    """The section with one channel."""
    return f"notify: {{channels: {{one: {{{words}}}}}}}\n"


def test_channels_and_routes(tmp_path: Path) -> None:
    """Each kind with what it needs; secrets stay references, paths are absolute."""
    found = loaded(tmp_path, WHOLE)
    assert found.channels == {
        "chat": SlackChannel("env:TOKEN", "C1", True, "file:signing", "T1", "https://slack.com/api", "", False),
        "hook": WebhookChannel("https://hooks.example.org/a", "store:hook", str(tmp_path / "ca.pem"), False, True),
        "mail": EmailChannel(
            Address("mail.example.org", 587), "starttls", "", "", "", "gw@example.org", ("dba@example.org",), False
        ),
    }
    assert (found.routes, found.default) == ({"dba": ("chat", "mail")}, ("hook",))


def test_nobody_is_told_anything(tmp_path: Path) -> None:
    """Unless somebody writes the section."""
    found = loaded(tmp_path, "")
    assert (dict(found.channels), dict(found.routes), found.default) == ({}, {}, ())


@pytest.mark.parametrize(
    ("section", "says"),
    [
        (channel("kind: pager"), "must be one of"),
        (channel("kind: slack, channel: C1"), "token: is missing"),
        (channel("kind: webhook, url: 'https://a.example'"), "secret: is missing"),
        (channel("kind: email, server: 'mail:25', sender: a@example.org"), "to: is missing"),
        (channel(f"{SLACK}, url: 'https://a.example'"), "url: means nothing with `kind: slack`"),
        (channel(f"{MAIL}, team: T1"), "team: means nothing with `kind: email`"),
        (channel(f"{SLACK}, buttons: answer"), "needs `signing` and `team`"),
        (channel(f"{SLACK}, buttons: answer, signing: env:S"), "needs `signing` and `team`"),
        (channel(f"{SLACK}, signing: env:S, team: T1"), "needs `signing` and `team`"),
        (channel(f"{SLACK}, api: 'http://slack.example/api'"), "must be an address such as"),
        (channel("kind: slack, token: xoxb-secret, channel: C1"), "a secret is never written here"),
        (channel("kind: slack, token: env:T, channel: general"), "must be an id of Slack's"),
        (channel("kind: webhook, url: 'http://a.example', secret: env:S"), "must be https"),
        (channel("kind: webhook, url: 'https://u:p@a.example', secret: env:S"), "must be https"),
        (channel(f"{HOOK}, internal: maybe"), "internal"),
        (channel("kind: webhook, url: 'vault:kv/hook#url', secret: env:S"), "no `vault:` is configured"),
        (channel("kind: webhook, url: 'https://a.example', secret: vault:db/creds/x"), "no `vault:` is configured"),
        (channel(f"{MAIL}, tls: disable"), "mails leave this machine"),
        (channel(f"{MAIL}, user: gw"), "a login has `user` and `secret`"),
        (
            channel(f"{MAIL}, sender: 'a@example.org, b'").replace("sender: a@example.org, ", "", 1),
            "must be an address",
        ),
        (channel(HOOK) + "", ""),
        ("notify: {default: [nobody]}\n", "default.0: is no channel"),
        ("notify: {routes: {dba: [nobody]}}\n", "routes.dba.0: is no channel"),
    ],
)
def test_what_is_wrong_is_refused(tmp_path: Path, section: str, says: str) -> None:
    """With the place and what to write; no value is repeated."""
    if not says:
        assert loaded(tmp_path, section).channels
        return
    with pytest.raises(ConfigError) as error:
        loaded(tmp_path, section)
    assert says in str(error.value)
    assert "xoxb-secret" not in str(error.value)


def test_a_whole_account_is_no_secret(tmp_path: Path) -> None:
    """One field of it is."""
    vault = "vault: {address: 'https://v.example', auth: {method: token, token: env:V}}\n"
    with pytest.raises(ConfigError, match="whole account"):
        loaded(tmp_path, vault + channel("kind: webhook, url: 'https://a.example', secret: vault:db/creds/x"))
    assert loaded(tmp_path, vault + channel("kind: webhook, url: 'https://a.example', secret: vault:kv/x#y")).channels
