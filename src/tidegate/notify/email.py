"""Notices as mails: plain text and HTML that says the same, threaded by what they are about.

The connection is TLS, directly or by STARTTLS that must succeed, unless the server is on this machine. Every mail about
one thing refers to the same first one (RFC 5322 section 3.6.4), and the id of a mail is that of its notice, so that one
that arrives twice is shown once. The HTML loads nothing and sets no colours, so that it is readable on a dark screen.
"""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import escape

import aiosmtplib

from tidegate.model.notice import Notice
from tidegate.settings_notify import EmailChannel

from .channel import Secret, Thread, Undelivered
from .courier import trust

PATIENCE = 20.0
"""Seconds that a mail server may take for one command."""

_PERMANENT = range(550, 556)
"""Replies after which the same mail will not be taken either (RFC 5321 section 4.2)."""


class Email:
    """One list of people. ``organisation`` is the domain that names mails."""

    # That a yes was used up, or a question taken back, is no news for a mailbox.
    quiet = frozenset({"approval.used", "approval.withdrawn"})

    def __init__(self, settings: EmailChannel, secret: Secret, organisation: str) -> None:
        self._settings = settings
        self._secret = secret
        self._organisation = organisation
        self._tls: ssl.SSLContext | None = None

    async def send(self, notice: Notice, thread: Thread) -> Thread:
        """See ``Channel``."""
        at = self._settings
        if self._tls is None and at.tls != "disable":
            self._tls = await asyncio.to_thread(trust, at.ca)
        password = await self._secret() if at.user else None
        try:
            await aiosmtplib.send(
                self._mail(notice, thread),
                sender=at.sender,
                recipients=list(at.to),
                hostname=at.server.host,
                port=at.server.port,
                username=at.user or None,
                password=password,
                use_tls=at.tls == "direct",
                start_tls=at.tls == "starttls",
                tls_context=self._tls,
                timeout=PATIENCE,
            )
        except aiosmtplib.SMTPResponseException as error:
            raise Undelivered(f"reply {error.code}", final=error.code in _PERMANENT) from None
        except aiosmtplib.SMTPRecipientsRefused as error:
            codes = [each.code for each in error.recipients]
            raise Undelivered(f"reply {codes[0]}", final=all(code in _PERMANENT for code in codes)) from None
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise Undelivered(type(error).__name__) from None
        return {"first": thread.get("first") or self._id(notice)}

    def _id(self, notice: Notice) -> str:
        return f"<{notice.id}@{self._organisation}>"

    def _mail(self, notice: Notice, thread: Thread) -> EmailMessage:
        mail = EmailMessage(SMTP)
        mail["From"] = self._settings.sender
        mail["To"] = ", ".join(self._settings.to)
        mail["Subject"] = f"{'[ALARM] ' if notice.urgent else ''}{notice.title}"[:200]
        mail["Date"] = format_datetime(datetime.fromtimestamp(notice.moment / 1e6, UTC))
        mail["Message-ID"] = self._id(notice)
        if thread.get("first"):
            mail["In-Reply-To"] = mail["References"] = thread["first"]
        # RFC 3834 section 5: nobody's absence is to answer it.
        mail["Auto-Submitted"] = "auto-generated"
        reason = notice.reason if self._settings.reasons else ""
        mail.set_content(_text(notice, reason))
        mail.add_alternative(_html(notice, reason), subtype="html")
        return mail


def _text(notice: Notice, reason: str) -> str:
    lines = [notice.line, "", *(f"{word}: {value}" for word, value in notice.facts)]
    lines += ["", "Statement, without its values:", f"  {notice.statement}"] if notice.statement else []
    lines += ["", "Reason, as stated by who asks:", f"  {reason}"] if reason else []
    return "\n".join([*lines, "", f"{_invitation(notice)}: {notice.link}", ""])


def _html(notice: Notice, reason: str) -> str:
    rows = "".join(
        f'<tr><td style="padding:2px 12px 2px 0;vertical-align:top">{escape(word)}</td><td>{escape(value)}</td></tr>'
        for word, value in notice.facts
    )
    more = ""
    for title, value in (
        ("Statement, without its values", notice.statement),
        ("Reason, as stated by who asks", reason),
    ):
        more += f'<p>{title}:</p><pre style="white-space:pre-wrap">{escape(value)}</pre>' if value else ""
    return (
        '<!DOCTYPE html><html><head><meta charset="utf-8"><meta name="color-scheme" content="light dark"></head>'
        f'<body style="font-family:sans-serif"><h3>{escape(notice.title)}</h3><p>{escape(notice.line)}</p>'
        f'<table>{rows}</table>{more}<p><a href="{escape(notice.link)}">{_invitation(notice)}</a></p></body></html>\n'
    )


def _invitation(notice: Notice) -> str:
    return "See all of it and answer" if notice.open else "See all of it"
