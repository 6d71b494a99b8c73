"""Style, scripts and pictures of the pages, read once; their address has a part of their hash, so browsers keep them.

Nothing is served that is not in the package's own folder, and nothing of another host is ever named.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from starlette.responses import Response

_FOLDER = Path(__file__).parent / "static"
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_FOREVER = "public, max-age=31536000, immutable"


class Assets:
    """All files of the folder, by name."""

    def __init__(self, folder: Path = _FOLDER) -> None:
        files = [path for path in sorted(folder.iterdir()) if path.suffix in _TYPES]
        self._content = {path.name: path.read_bytes() for path in files}
        self._hash = {name: hashlib.sha256(data).hexdigest()[:16] for name, data in self._content.items()}

    def address(self, name: str) -> str:
        """The path of a file on this gateway. Raises KeyError for one that does not exist."""
        return f"/static/{self._hash[name]}/{name}"

    def answer(self, mark: str, name: str) -> Response:
        """The file; only under its current mark may it be kept."""
        if name not in self._content:
            return Response("There is no such file.\n", 404, media_type="text/plain")
        kept = _FOREVER if mark == self._hash[name] else "no-store"
        return Response(self._content[name], 200, {"cache-control": kept}, _TYPES[Path(name).suffix])
