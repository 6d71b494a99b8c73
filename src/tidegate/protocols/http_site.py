"""What a resource's requests mean, for its wire: heads as the site reads them (``operations.http``)."""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.model.operation import Facts
from tidegate.operations import http as operations
from tidegate.operations.http import Site
from tidegate.wire.http_head import Head


class Asked:
    """One request, as the site knows it."""

    def __init__(self, site: Site, head: operations.Head) -> None:
        self._site = site
        self._head = head
        self._renamed: Mapping[str, str] = {}
        self.target = head.target.encode("ascii")
        self.template = site.template(head)

    @property
    def wants_body(self) -> bool:
        """See ``wire.http_requests.Asked``."""
        return self._site.wants_body(self._head)

    def classify(self, body: bytes | None) -> Facts:
        """See ``wire.http_requests.Asked``."""
        facts = self._site.classify(self._head, body)
        self._renamed = self._site.renamed(facts)
        return facts

    def field(self, path: str) -> str:
        """See ``wire.http_requests.Asked``."""
        return operations.original(path, self._renamed)


class Reader:
    """Implements ``wire.http_requests.Site``."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def asked(self, head: Head, target: bytes) -> Asked:
        """See ``wire.http_requests.Site``. Raises AgentError."""
        fields = ((name.decode("latin-1"), value.decode("latin-1")) for name, _, value in head.fields)
        host = (head.get(b"host") or b"").decode("latin-1")
        return Asked(self._site, operations.head(head.method.decode(), target.decode("ascii"), fields, host))
