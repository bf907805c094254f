"""What a file is, by its content; lying names and kinds that we do not parse are refused with a reason."""

import io
import zipfile
from pathlib import Path

import pytest

from app.adapters.parsing import sniff
from app.adapters.parsing.content_types import CSV, DOCX, HTML, MARKDOWN, PDF, PLAIN
from app.core.errors import AppError, InvalidRequest, UnsupportedMedia
from tests.unit.adapters.parsing import samples

DOCX_BYTES = samples.docx(samples.paragraph("x"))
PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
RUSSIAN = "Привет, мир. Это текст."


def zipped(*members: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as package:
        for member in members:
            package.writestr(member, "x")
    return packed.getvalue()


def sniffed(tmp_path: Path, content: bytes, name: str, declared: str | None = None) -> str:
    path = tmp_path / "upload"
    path.write_bytes(content)
    return sniff(content[: 1 << 16], path, name, declared)


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        (samples.pdf("x"), "a.pdf", PDF),
        (b"junk before\n" + samples.pdf("x"), "a.PDF", PDF),
        (samples.pdf("x"), "no-extension", PDF),
        (DOCX_BYTES, "a.docx", DOCX),
        (b"<!DOCTYPE html><p>x", "a.html", HTML),
        (b"\n<!-- c --><HTML lang=en>", "a.txt", HTML),
        ("<html><body>x".encode("utf-16"), "a.htm", HTML),
        (b"<p>fragment", "a.html", HTML),
        (b"# Title", "a.md", MARKDOWN),
        (b"a,b\n1,2", "a.csv", CSV),
        (b"a\tb", "a.tsv", CSV),
        (b'{"a": 1}', "a.json", PLAIN),
        (b"MZ is a text too", "a.txt", PLAIN),
        (b"plain", "README", PLAIN),
        (b"plain\0with a NUL " * 9, "a.txt", PLAIN),
        (RUSSIAN.encode("cp1251"), "a.txt", PLAIN),
        (RUSSIAN.encode("utf-16-le"), "a.txt", PLAIN),
        (RUSSIAN.encode("utf-16-be"), "a.txt", PLAIN),
        (RUSSIAN.encode("utf-32"), "a.txt", PLAIN),
        ("Hello, UTF-16 without a mark".encode("utf-16-be"), "a.csv", CSV),
        ("数据库的设计和实现。中文文本没有空格".encode("utf-16-le"), "a.txt", PLAIN),
        ("すべての人間は".encode("shift_jis"), "a.txt", PLAIN),
    ],
)
def test_content_decides_and_the_name_chooses_among_texts(
    tmp_path: Path, content: bytes, name: str, expected: str
) -> None:
    assert sniffed(tmp_path, content, name) == expected


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (PNG, "a.pdf"),
        (zipped("x"), "a.pdf"),
        (b"MZ\x90\0" + bytes(500), "a.pdf"),
        (b"<html>x", "a.pdf"),
        (b"hello", "a.pdf"),
        (samples.pdf("x"), "a.docx"),
        (DOCX_BYTES, "a.txt"),
        (samples.pdf("x"), "a.md"),
        (PNG, "a.csv"),
        (zipped("xl/workbook.xml"), "a.docx"),
        (zipped("word/document.xml", "word/vbaProject.bin"), "a.docx"),
        (bytes(range(256)) * 8, "a.txt"),
        (b"P", "a.docx"),
    ],
)
def test_a_name_that_claims_another_kind_is_refused(tmp_path: Path, content: bytes, name: str) -> None:
    with pytest.raises(UnsupportedMedia, match=r"is named .* but looks like") as refused:
        sniffed(tmp_path, content, name)
    assert refused.value.code == "file_type_mismatch"


@pytest.mark.parametrize(
    ("content", "name", "looks"),
    [
        (PNG, "a.png", "PNG"),
        (zipped("x"), "a.zip", "ZIP"),
        (zipped("xl/workbook.xml"), "a.xlsx", "Excel"),
        (zipped("ppt/presentation.xml"), "a.pptx", "PowerPoint"),
        (zipped("word/document.xml", "word/vbaProject.bin"), "a.docm", "macros"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a.doc", "old Office"),
        (b"{\\rtf1 x}", "a.rtf", "RTF"),
        (b'<?xml version="1.0"?><svg xmlns="x">', "a.svg", "SVG"),
        (bytes(range(256)) * 8, "a.bin", "unknown type"),
        (b"\x7fELF" + bytes(20), "program", "program"),
    ],
)
def test_other_kinds_are_refused_with_what_is_supported(tmp_path: Path, content: bytes, name: str, looks: str) -> None:
    with pytest.raises(UnsupportedMedia, match=rf"{looks}.*PDF, DOCX, HTML, Markdown, plain text and CSV") as refused:
        sniffed(tmp_path, content, name)
    assert refused.value.code == "unsupported_file_type"


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest) as refused:
        sniffed(tmp_path, b"", "a.pdf")
    assert refused.value.code == "empty_file"


def test_the_declared_type_counts_only_for_text_without_a_telling_name(tmp_path: Path) -> None:
    assert sniffed(tmp_path, b"# t", "notes", "text/markdown; charset=utf-8") == MARKDOWN
    assert sniffed(tmp_path, b"# t", "notes.txt", "text/markdown") == PLAIN
    with pytest.raises(AppError):
        sniffed(tmp_path, PNG, "picture", "application/pdf")


def test_a_zip_with_a_million_members_is_not_unpacked_to_be_recognised(tmp_path: Path) -> None:
    directory = b"".join(b"PK\x01\x02" + bytes(42) + b"member" for _ in range(200_000))
    with pytest.raises(UnsupportedMedia):
        sniffed(tmp_path, b"PK\x03\x04" + bytes(30) + directory, "a.zip")
