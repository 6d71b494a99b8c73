"""QR codes."""

from __future__ import annotations

from tidegate.web.browser.qr import svg


def test_a_picture_has_no_text_of_its_content() -> None:
    """The picture is drawn from squares: what it says, hostile or not, is nowhere in the markup."""
    picture = svg("otpauth://totp/x:<script>alert(1)</script>?secret=JBSWY3DPEHPK3PXP")
    assert picture.startswith("<svg")
    assert "script" not in picture
    assert "JBSW" not in picture
    assert "style=" not in picture
