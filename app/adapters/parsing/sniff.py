"""Decides what a file is by its content; its name only chooses among the kinds of text.

The policy: content of a kind that we do not parse is refused, and so is a file whose name claims another kind than its
content (a picture named ``.pdf``, a PDF named ``.docx`` or ``.txt``): such a name is a mistake or an attack, and a
reader who opens the original later would be misled. Binary kinds without a telling name are taken by content. Text
that says it is an HTML document is HTML whatever text name it has; every other text is what its name says, plain text
by default. The declared type of an upload is a guess by the sender: it counts only for text without a telling name.
"""

import os
import re
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from app.adapters.parsing.charset import bom_encoding, is_text, utf16_without_bom
from app.adapters.parsing.content_types import (
    BINARY_EXTENSIONS,
    CLAIMS_PLAIN_TEXT,
    DECLARED_TEXT,
    DOCX,
    HTML,
    PDF,
    PLAIN,
    TEXT_EXTENSIONS,
)
from app.core.errors import InvalidRequest, UnsupportedMedia

_HEAD_BYTES = 1 << 16
_TAIL_BYTES = 1 << 20
_PDF_WITHIN = 1024  # readers accept so much before the header (ISO 32000-1, annex H, note 13)
_PARSED = "PDF, DOCX, HTML, Markdown, plain text and CSV files are supported"

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"BM", "a bitmap picture"),
    (b"II*\0", "a TIFF picture"),
    (b"MM\0*", "a TIFF picture"),
    (b"RIFF", "a media file"),
    (b"MZ", "a Windows program"),
    (b"\x7fELF", "a program"),
    (b"\xcf\xfa\xed\xfe", "a program"),
    (b"\xca\xfe\xba\xbe", "a program"),
    (b"\xd0\xcf\x11\xe0", "an old Office file (DOC, XLS, PPT) or an Office file with a password"),
    (b"{\\rtf", "an RTF file"),
    (b"%!PS", "a PostScript file"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"SQLite format 3", "an SQLite database"),
    (b"ID3", "an audio file"),
    (b"OggS", "a media file"),
)
_TEXTUAL_MAGIC = frozenset({b"BM", b"MZ", b"BZh", b"ID3", b"RIFF", b"GIF8", b"Rar!"})
"""Signatures that are letters alone: text may begin with them, so text wins."""

_ZIP_MEMBERS: tuple[tuple[bytes, str], ...] = (
    (b"word/vbaProject.bin", "a Word file with macros"),
    (b"word/document", DOCX),
    (b"xl/workbook", "an Excel workbook"),
    (b"ppt/presentation", "a PowerPoint presentation"),
    (b"META-INF/container.xml", "an EPUB book"),
    (b"content.xml", "an OpenDocument file"),
)
_HTML = re.compile(r"\s*(?:<\?xml[^>]*>\s*|<!--.*?-->\s*)*(?:<!doctype\s+html|<html[\s>])", re.IGNORECASE | re.DOTALL)
_SVG = re.compile(r"\s*(?:<\?xml[^>]*>\s*)?(?:<!doctype\s+svg|<svg[\s>])", re.IGNORECASE)


class _Kind(NamedTuple):
    looks: str
    """What to tell the sender that the file looks like."""
    content_type: str | None
    """The type when we parse it, PLAIN for any text; None when we do not."""


def sniff(head: bytes, path: Path, file_name: str, declared: str | None) -> str:
    """Give the canonical content type of a file on disk; ``head`` is its first bytes, 64 KiB or the whole file.

    Raises InvalidRequest ``empty_file``, UnsupportedMedia ``unsupported_file_type`` for content that we do not parse
    or ``file_type_mismatch`` where the name claims something else.
    """
    if not path.stat().st_size:
        raise InvalidRequest("The file is empty. Choose another one.", code="empty_file", param="file")
    head = head[:_HEAD_BYTES]
    kind = _kind(head, path)
    extension = PurePosixPath(file_name.replace("\0", "").replace("\\", "/").lower()).suffix
    _check_name(kind, extension)
    if kind.content_type is None:
        raise UnsupportedMedia(
            f"This looks like {kind.looks}, which cannot be read. {_PARSED}.",
            code="unsupported_file_type",
            param="file",
        )
    if kind.content_type != PLAIN:
        return kind.content_type
    return TEXT_EXTENSIONS.get(extension) or _declared_kind(extension, declared)


def _declared_kind(extension: str, declared: str | None) -> str:
    if extension in CLAIMS_PLAIN_TEXT:
        return PLAIN
    return DECLARED_TEXT.get((declared or "").partition(";")[0].strip().lower(), PLAIN)


def _check_name(kind: _Kind, extension: str) -> None:
    claimed = BINARY_EXTENSIONS.get(extension)
    is_text = kind.content_type in {PLAIN, HTML}
    claims_text = extension in TEXT_EXTENSIONS or extension in CLAIMS_PLAIN_TEXT
    is_lie = (
        claimed != kind.content_type if claimed else claims_text and not is_text and not kind.looks.startswith("an SVG")
    )
    if is_lie:
        raise UnsupportedMedia(
            f"The file is named {extension} but looks like {kind.looks}. Rename it to what it is, or choose the right"
            f" file. {_PARSED}.",
            code="file_type_mismatch",
            param="file",
        )


def _kind(head: bytes, path: Path) -> _Kind:
    if head.startswith(b"PK\x03\x04"):
        return _zip_kind(head, _tail(path))
    is_readable = is_text(head)
    looks = next((name for magic, name in _MAGIC if head.startswith(magic)), None)
    is_letters = any(head.startswith(magic) for magic in _TEXTUAL_MAGIC)
    if looks and not (is_letters and is_readable):
        return _Kind(looks, None)
    if b"%PDF-" in head[:_PDF_WITHIN] and not _HTML.match(head[:_PDF_WITHIN].decode("latin-1")):
        return _Kind("a PDF file", PDF)
    if not is_readable:
        return _Kind("a binary file of unknown type", None)
    return _text_kind(head)


def _text_kind(head: bytes) -> _Kind:
    encoding = bom_encoding(head) or utf16_without_bom(head) or "latin-1"
    text = head[:4096].decode(encoding, "replace")
    if _SVG.match(text):
        return _Kind("an SVG picture", None)
    return _Kind("an HTML page", HTML) if _HTML.match(text) else _Kind("a text file", PLAIN)


def _tail(path: Path) -> bytes:
    """Read the end of the file, where a ZIP lists its members: bounded, unlike a parsed directory of a million."""
    with path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
        return file.read()


def _zip_kind(head: bytes, tail: bytes) -> _Kind:
    found = next((kind for member, kind in _ZIP_MEMBERS if member in tail), "a ZIP archive")
    if b"mimetypeapplication/epub" in head[:100]:
        found = "an EPUB book"
    return _Kind("a Word file (DOCX)", DOCX) if found == DOCX else _Kind(found, None)
