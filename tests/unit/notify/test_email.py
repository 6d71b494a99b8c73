"""Mails, to a real server."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from certificates import Pair, issue
from receivers import Mailbox
from tidegate.model.notice import Notice
from tidegate.model.resource import Address
from tidegate.notify.channel import Thread, Undelivered
from tidegate.notify.email import Email
from tidegate.settings_notify import EmailChannel

from .sample import always, notice, run

PASSWORD = "mail-password"


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    """A certificate of the mail server."""
    return issue(tmp_path)


def send(box: Mailbox, told: Notice, thread: Thread | None = None, password: str = "", **changes: Any) -> Thread:
    """Send one."""
    given = {
        "server": Address("localhost", box.port), "tls": "disable", "user": "", "secret": "", "ca": "",
        "sender": "tidegate@example.org", "to": ("a@example.org", "b@example.org"), "reasons": False,
    } | changes  # fmt: skip
    channel = Email(EmailChannel(**given), always(password), "example.org")
    return run(channel.send(told, thread or {}))


def read(box: Mailbox, index: int = 0) -> EmailMessage:
    """A mail that has come."""
    found = email.message_from_bytes(box.mails[index], policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    return found


def parts(mail: EmailMessage) -> tuple[str, str]:
    """Its text and its HTML."""
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None and html is not None
    return plain.get_content(), html.get_content()


def test_a_mail_says_the_same_as_text_and_as_html() -> None:
    """To everybody on the list, without values and reason, and HTML escapes what others wrote."""
    with Mailbox() as box:
        send(box, notice(facts=(("Who", "<b>alice</b>"),)))
        assert box.recipients == [["a@example.org", "b@example.org"]]
        mail = read(box)
        assert mail["Subject"] == "alice -> claude-code asks to run a statement on shop"
        assert mail["Auto-Submitted"] == "auto-generated"
        text, html = parts(mail)
        for body in (text, html):
            assert "https://gateway.example.org/approvals/ap_0123" in body
            assert "SET mail = ?" in body
            assert "reason-secret" not in body
        assert "<b>alice" not in html
        assert "&lt;b&gt;alice&lt;/b&gt;" in html
        assert not any(word in html for word in ("src=", "http-equiv", "background", "url(", "<script"))


def test_mails_about_one_thing_are_a_thread() -> None:
    """Later ones refer to the first; the id of a mail is its notice's."""
    with Mailbox() as box:
        thread = send(box, notice())
        assert send(box, notice("approved-1"), thread) == thread
        first, second = read(box), read(box, 1)
    assert first["Message-ID"] == "<ap_0123.waiting-0@example.org>" == second["References"] == second["In-Reply-To"]
    assert second["Message-ID"] == "<ap_0123.approved-1@example.org>"
    assert first["References"] is None


@pytest.mark.parametrize("tls", ["starttls", "direct"])
def test_over_tls_with_a_login(tls: str, pair: Pair) -> None:
    """Both ways; the password is only ever sent inside."""
    with Mailbox(pair, tls=tls, user="gw", password=PASSWORD) as box:
        send(box, notice(), password=PASSWORD, tls=tls, ca=str(pair.authority), user="gw", secret="env:P")
        assert len(box.mails) == 1


def test_a_wrong_password(pair: Pair) -> None:
    """It may be put right, so it is tried again; the error does not show it."""
    words = {"tls": "starttls", "ca": str(pair.authority), "user": "gw", "secret": "env:P"}
    with Mailbox(pair, tls="starttls", user="gw", password=PASSWORD) as box, pytest.raises(Undelivered) as error:
        send(box, notice(), password="wrong-one", **words)
    assert (error.value.why, error.value.final) == ("reply 535", False)
    assert "wrong-one" not in str(error.value)


@pytest.mark.parametrize("tls", ["starttls", "direct"])
def test_a_server_of_another_authority(tls: str, pair: Pair) -> None:
    """Neither mail nor password goes there."""
    with Mailbox(pair, tls=tls) as box:
        with pytest.raises(Undelivered):
            send(box, notice(), tls=tls)
        assert not box.mails


def test_a_server_without_tls_is_not_talked_to() -> None:
    """STARTTLS must succeed: somebody in between may have taken it out."""
    with Mailbox() as box:
        with pytest.raises(Undelivered):
            send(box, notice(), tls="starttls")
        assert not box.mails


@pytest.mark.parametrize(("reply", "final"), [("451 later", False), ("554 never", True), ("421 closing", False)])
def test_replies(reply: str, final: bool) -> None:
    """What passes is tried again, what does not is not; the server's words are not repeated."""
    with Mailbox() as box:
        box.refuse = reply
        with pytest.raises(Undelivered) as error:
            send(box, notice())
    assert (error.value.why, error.value.final) == (f"reply {reply[:3]}", final)


def test_nobody_listens() -> None:
    """A failure like others."""
    with Mailbox() as box:
        pass
    with pytest.raises(Undelivered):
        send(box, notice())


def test_an_alarm_and_a_reason() -> None:
    """An alarm says so first; reasons go out if settings say so."""
    with Mailbox() as box:
        send(box, notice(urgent=True), reasons=True)
        assert read(box)["Subject"].startswith("[ALARM] ")
        assert all("reason-secret" in body for body in parts(read(box)))


def test_no_header_can_be_added() -> None:
    """Line breaks in a title do not reach the mail (they are escapes by then; the library refuses any other)."""
    with Mailbox() as box:
        with pytest.raises((Undelivered, ValueError)):
            send(box, notice(title="x\r\nBcc: eve@example.org"))
        assert not box.mails
