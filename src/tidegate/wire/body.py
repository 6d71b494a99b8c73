"""The body of an answer as the agent may see it: unpacked, read as what it is, masked by field, searched.

What it is, its media type says, and its first bytes where that could be a trick: a document that begins like JSON is
read as JSON whatever text it is called. Invariants: nothing passes that was not read as what it is; what cannot be read
passes only where binary may pass; everything is held within limits; what comes out is not packed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from tidegate.errors import ResourceError
from tidegate.model.operation import Transform

from .body_coding import Decoder, decoder
from .body_csv import CsvBody
from .body_events import EventBody
from .body_form import FormBody
from .body_json import JsonBody
from .body_text import PlainBody, TextBody

Look = Callable[[str], Transform | None]
"""The mask for a field by its path, such as ``$.items[*].email``; None lets it pass. Asked once per path."""

SNIFFED: Final = 64
"""Bytes of a body of which one must be no blank before it is known what it is."""


class Body(Protocol):
    """A body on its way; raises ResourceError for what must not pass."""

    @property
    def changed(self) -> dict[str, int]:
        """How many values were replaced, by their paths."""

    def feed(self, data: bytes) -> bytes:
        """What of it may pass now."""

    def end(self) -> bytes:
        """What is left when it is whole."""


def body(media: str, coding: str, look: Look, scan: Transform | None, *, tagged: bool, binary: bool) -> Body | None:
    """How to read a body of a media type and content coding; None when there is nothing to do.

    ``tagged``: fields of it may have masks; ``scan`` searches text for sensitive values; ``binary``: what cannot be
    read may pass. Raises ResourceError for what must not pass.
    """
    kind, _, parameters = media.lower().partition(";")
    kind = kind.strip()
    searched = tagged or scan is not None
    if searched:
        _refuse_charset(parameters)
    unpack = decoder(coding, binary=binary or not searched)
    if not searched:
        return Packed(unpack, PlainBody()) if unpack is not None else None
    if structured(kind) or not kind or kind.startswith("text/") or _textual(kind):
        inner: Body = Guessed(kind, look, scan, tagged=tagged, binary=binary)
    elif binary:
        inner = PlainBody()
    else:
        raise _unreadable(kind)
    return Packed(unpack, inner) if unpack is not None else inner


def structured(kind: str) -> bool:
    """Whether fields of a media type can be told apart."""
    return _json(kind) or kind in _READERS


class Packed:
    """A body that arrives compressed and leaves plain."""

    def __init__(self, unpack: Decoder, inner: Body) -> None:
        self._unpack = unpack
        self._inner = inner

    @property
    def changed(self) -> dict[str, int]:
        """See ``Body``."""
        return self._inner.changed

    def feed(self, data: bytes) -> bytes:
        """See ``Body``."""
        return b"".join([self._inner.feed(part) for part in self._unpack.feed(data)])

    def end(self) -> bytes:
        """See ``Body``."""
        self._unpack.end()
        return self._inner.end()


class Guessed:
    """A text whose first bytes decide what it is."""

    def __init__(self, kind: str, look: Look, scan: Transform | None, *, tagged: bool, binary: bool) -> None:
        self._kind, self._look, self._scan, self._tagged, self._binary = kind, look, scan, tagged, binary
        self._waiting = b""
        self._inner: Body | None = None
        self.changed: dict[str, int] = {}

    def feed(self, data: bytes) -> bytes:
        """See ``Body``."""
        if self._inner is None:
            self._waiting += data
            if not self._waiting.strip() and len(self._waiting) < SNIFFED:
                return b""
            self._inner, data, self._waiting = self._chosen(self._waiting), self._waiting, b""
        return self._inner.feed(data)

    def end(self) -> bytes:
        """See ``Body``."""
        if self._inner is None:
            return self._waiting
        return self._inner.end()

    def _chosen(self, begin: bytes) -> Body:
        reader = self._reader(begin.lstrip(b" \t\r\n"))
        self.changed = reader.changed
        return reader

    def _reader(self, begin: bytes) -> Body:
        if begin.startswith((b"\xef\xbb\xbf", b"\xfe\xff", b"\xff\xfe", b"\0")):
            raise _unreadable("text in another encoding than UTF-8, or with a mark before it")
        make = _READERS.get(self._kind)
        if make is None and (_json(self._kind) or begin.startswith((b"{", b"["))):
            make = JsonBody
        if make is not None:
            return make(self._look, self._scan)
        if self._tagged and not self._binary:
            raise _unreadable(self._kind or "a body without a media type")
        return TextBody(self._scan) if self._scan is not None else PlainBody()


_READERS: Final[dict[str, Callable[[Look, Transform | None], Body]]] = {
    "text/event-stream": EventBody,
    "text/csv": CsvBody,
    "application/csv": CsvBody,
    "text/tab-separated-values": lambda look, scan: CsvBody(look, scan, b"\t"),
    "application/x-www-form-urlencoded": FormBody,
    "application/x-ndjson": lambda look, scan: JsonBody(look, scan, several=True),
    "application/ndjson": lambda look, scan: JsonBody(look, scan, several=True),
    "application/jsonl": lambda look, scan: JsonBody(look, scan, several=True),
    "application/x-json-stream": lambda look, scan: JsonBody(look, scan, several=True),
    "application/json-seq": lambda look, scan: JsonBody(look, scan, several=True),
}


def _json(kind: str) -> bool:
    return kind in ("application/json", "text/json", "application/x-json") or kind.endswith("+json")


def _textual(kind: str) -> bool:
    return kind.endswith(("+xml", "/xml", "javascript", "/yaml", "/x-yaml", "/toml", "/graphql", "/sql"))


def _refuse_charset(parameters: str) -> None:
    _, found, value = parameters.partition("charset=")
    if found and value.split(";")[0].strip(" \"'") not in ("utf-8", "utf8", "us-ascii", "ascii", ""):
        raise _unreadable("text in another encoding than UTF-8")


def _unreadable(what: str) -> ResourceError:
    return ResourceError(
        f"the answer cannot be masked: {what[:60]}",
        hint="Ask for JSON, or ask an operator whether `binary: pass` may be set for this resource.",
        code="resource.binary",
    )
