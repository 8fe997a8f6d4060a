"""The page's files: read once, packed once, served with an ETag from a fixed table (so no path can leave it).

``index.html`` points to the other files under ``/assets/<digest>/``. The digest is that of all files, so they may be
cached for a year, and a new version is loaded whole.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import mimetypes
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

WEB: Final = Path(__file__).parent / "web"
_PLACE: Final = b"__ASSETS__"
"""What the root files write where the digest's folder belongs."""
_LIST: Final = b"__FILES__"
"""What the service worker writes where the list of all files belongs."""
_ROOT_FILES: Final = ("sw.js", "manifest.webmanifest")
_PAGES: Final = ("index.html", "ack.html", "survey.html")
_PAGE_FOLDER: Final = "pages/"
"""What each page adds to the head that all share, and ``frame.html``, which is the rest of them."""
_HEAD: Final = b"__HEAD__"
"""Where the frame takes what a page adds."""
_TYPES: Final = {
    ".js": "text/javascript", ".mjs": "text/javascript", ".webmanifest": "application/manifest+json",
    ".json": "application/json", ".svg": "image/svg+xml", ".txt": "text/plain",
}  # fmt: skip
_PACKED: Final = frozenset({".js", ".mjs", ".css", ".html", ".svg", ".json", ".webmanifest", ".txt"})
_FOREVER: Final = "public, max-age=31536000, immutable"
_ASK: Final = "no-cache"


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file, ready to be sent."""

    body: bytes
    packed: bytes | None
    media_type: str
    etag: str


class Pages:
    """All files of the page."""

    def __init__(self, folder: Path = WEB) -> None:
        raw = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.suffix != ".md"
        }
        summed = hashlib.sha256()
        for name, body in raw.items():
            summed.update(f"{name}\0{len(body)}\0".encode() + body)
        self.digest = summed.hexdigest()[:16]
        self.prefix = f"/assets/{self.digest}"
        self._assets = {
            name: _file(name, body)
            for name, body in raw.items()
            if name not in _ROOT_FILES and not name.startswith(_PAGE_FOLDER)
        }
        files = json.dumps([f"{self.prefix}/{name}" for name in self._assets if not name.endswith(".txt")])
        frame = raw[f"{_PAGE_FOLDER}frame.html"]
        root = {name: raw[name] for name in _ROOT_FILES}
        root |= {name: frame.replace(_HEAD, raw[_PAGE_FOLDER + name]) for name in _PAGES}
        self._root = {
            name: _file(name, body.replace(_PLACE, self.prefix.encode()).replace(_LIST, files.encode()))
            for name, body in root.items()
        }

    def root(self, request: Request, name: str) -> Response:
        """Answer with a file of the root; browsers ask for it anew each time."""
        return _answer(request, self._root.get(name), _ASK)

    def asset(self, request: Request, digest: str, name: str) -> Response:
        """Answer with any other file."""
        return _answer(request, self._assets.get(name), _FOREVER if digest == self.digest else _ASK)


def _file(name: str, body: bytes) -> PageFile:
    suffix = Path(name).suffix
    media_type = _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    packed = gzip.compress(body, 9, mtime=0) if suffix in _PACKED and len(body) > 512 else None
    return PageFile(body, packed, media_type, f'"{hashlib.sha256(body).hexdigest()[:20]}"')


def _answer(request: Request, file: PageFile | None, cache: str) -> Response:
    if file is None:
        return Response("not found", status_code=404, media_type="text/plain")
    headers = {"ETag": file.etag, "Cache-Control": cache, "Vary": "Accept-Encoding"}
    if file.etag in (
        one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")
    ):
        return Response(status_code=304, headers=headers)
    if file.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(
            file.packed, headers={**headers, "Content-Encoding": "gzip"}, media_type=file.media_type
        )
    return Response(file.body, headers=headers, media_type=file.media_type)
