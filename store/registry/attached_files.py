"""Files attached to dossiers and alerts: known by content, kept under their SHA-256 where no page is served from."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import tempfile
import unicodedata
import zipfile
from pathlib import Path
from typing import Final

MOST_BYTES: Final = 8 << 20
MOST_FILES: Final = 500
"""Of a quarter, removed ones included."""
MOST_BYTES_OF_SITE: Final = 512 << 20
_OFFICE: Final = "application/vnd.openxmlformats-officedocument."
_MAGIC: Final = (
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
)
SUFFIXES: Final = {
    "application/pdf": (".pdf",), "image/png": (".png",), "image/jpeg": (".jpg", ".jpeg"), "image/webp": (".webp",),
    _OFFICE + "wordprocessingml.document": (".docx",), _OFFICE + "spreadsheetml.sheet": (".xlsx",),
}  # fmt: skip
"""What may be attached, and the endings that its name may have; the first one is given where it has another."""
_MOST_NAME: Final = 100
_RESERVED: Final = re.compile(r"(?i)^(con|prn|aux|nul|com\d|lpt\d)(\..*)?$")


class BadFile(ValueError):
    """A file that cannot be attached; the message says why and what can."""


def media_type(content: bytes) -> str:
    """Return what a file is by its content, whatever it is called. Raises :class:`BadFile`."""
    for magic, found in _MAGIC:
        if content.startswith(magic):
            return found
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    if content.startswith(b"PK\x03\x04"):
        return _office(content)
    raise BadFile("attach a PDF, PNG, JPEG or WebP file, a Word document (.docx) or an Excel sheet (.xlsx)")


def _office(content: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = set(archive.namelist())
    except zipfile.BadZipFile:
        raise BadFile("the file is damaged: it is not a whole Word document or Excel sheet") from None
    if any(name.lower().endswith("vbaproject.bin") for name in names):
        raise BadFile("the document holds macros; save it without them")
    for name, kind in (
        ("word/document.xml", "wordprocessingml.document"),
        ("xl/workbook.xml", "spreadsheetml.sheet"),
    ):
        if name in names and "[Content_Types].xml" in names:
            return _OFFICE + kind
    raise BadFile("archives cannot be attached; attach the document itself")


def safe_name(given: str, found: str) -> str:
    """Return a file's name without folders, control characters or anything that a shell or a disk takes amiss.

    Its ending is one that belongs to ``found``, the media type.
    """
    name = unicodedata.normalize("NFC", given).replace("\\", "/").rsplit("/", 1)[-1]
    name = "".join(one for one in name if unicodedata.category(one)[0] not in "CZ" or one == " ")
    name = re.sub(r'[<>:"|?*%;&$`\'#{}^~]', "_", name).strip(" .")
    endings = SUFFIXES[found]
    stem, dot, ending = name.rpartition(".")
    if not dot or f".{ending.lower()}" not in endings:
        stem, ending = name, endings[0].removeprefix(".")
    stem = stem.strip(" .")[:_MOST_NAME] or "file"
    if _RESERVED.match(stem):
        stem = f"_{stem}"
    return f"{stem}.{ending.lower()}"


class FileFolder:
    """Bytes under their SHA-256. A name is made of the digest alone, so that none can lead out of the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, content: bytes) -> str:
        """Write bytes (whole or not at all) and return their SHA-256. Raises ``OSError`` for a disk that is full."""
        sha256 = hashlib.sha256(content).hexdigest()
        path = self._path(sha256)
        if path.exists():
            return sha256
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(name).unlink()
            raise
        return sha256

    def read(self, sha256: str) -> bytes | None:
        """Return the bytes, ``None`` where they are not there or not what they were."""
        try:
            content = self._path(sha256).read_bytes()
        except FileNotFoundError:
            return None
        return content if hashlib.sha256(content).hexdigest() == sha256 else None

    def _path(self, sha256: str) -> Path:
        if not re.fullmatch(r"[0-9a-f]{64}", sha256):
            raise ValueError("not a SHA-256")
        return self._folder / sha256[:2] / sha256
