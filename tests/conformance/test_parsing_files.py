"""Real and hostile files end to end: what is in them is found on its page, and the rest fails with a known code."""

import asyncio
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from app.adapters.parsing import ParsedDocument, ParseFailure, build_parser, sniff
from app.core.errors import AppError
from tests.fixtures.children import child_pids
from tests.shared_data import SHARED_DATA, requires_shared_data

pytestmark = requires_shared_data

KNOWN_MISSES = {("j_french_diacritics.pdf", "éÉèÈêÊëËîÎïÏ")}
"""The letters are placed one by one with gaps; PDFium reads the gaps as blanks."""
REFUSED = {
    "pdf_encrypted": {"p_libreoffice-writer-password.pdf", "u_password.pdf"},
    "no_text": {
        "d_ocr_test.pdf",
        "u_single_table.pdf",
        "j_poppler-85140-0.pdf",
        "j_GHOSTSCRIPT-698804-1-fuzzed.pdf",
        "j_issue15590.pdf",
    },
    "pdf_broken": {"j_poppler-395-0-fuzzed.pdf"},
}
UNSUPPORTED = {".doc", ".pptx", ".xlsx", ".epub", ".rtf", ".odt", ".ods"}
HOSTILE = {
    "bomb_document.docx": {"zip_bomb"},
    "bomb_media.docx": {"harmless text"},
    "billion_laughs.docx": {"docx_broken"},
    "billion_laughs.svg": {"unsupported_file_type"},
    "xxe_file.docx": {"docx_broken"},
    "pages_loop.pdf": {"pdf_broken", "no_text"},
    "deep_nesting.pdf": {"pdf_broken", "no_text"},
    "flate_bomb.pdf": {"parser_crashed", "parser_out_of_memory", "no_text", "x"},
    "truncated.pdf": {"pdf_broken", "Hello truncated world"},
    "exe_as.pdf": {"file_type_mismatch"},
    "html_as.docx": {"file_type_mismatch"},
    "empty.txt": {"empty_file"},
    "empty.pdf": {"empty_file"},
    "one_byte.docx": {"file_type_mismatch"},
    "whitespace_only.txt": {"no_text"},
    "script.html": {"Visible title\n\nlink\n\nVisible body"},
    "huge_line.txt": {"text_too_long"},
}


def cases(manifest: str) -> list[dict[str, Any]]:
    if SHARED_DATA is None:
        return []
    return [json.loads(line) for line in (SHARED_DATA / manifest).read_text().splitlines()]


async def outcome(path: Path, name: str, declared: str | None = None) -> ParsedDocument | str:
    """Recognise and parse as the service does; a refusal is given by its code."""
    try:
        with path.open("rb") as file:
            content_type = sniff(file.read(1 << 16), path, name, declared)
        return await build_parser(wall_seconds=30, cpu_seconds=30).parse(path, content_type)
    except (AppError, ParseFailure) as refused:
        return refused.code


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def folded(text: str) -> str:
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text))


def found_on(document: ParsedDocument, expected: str, page: int | None) -> bool:
    spans = [document.text[s.start : s.end] for s in document.pages if s.number == page] or [document.text]
    return any(folded(expected) in folded(text) for text in spans)


@pytest.mark.parametrize("case", cases("files/manifest.jsonl"), ids=lambda case: str(case["file"]))
async def test_real_files_give_their_text_on_its_page(case: dict[str, Any]) -> None:
    assert SHARED_DATA is not None
    name = case["file"]
    result = await outcome(SHARED_DATA / "files" / name, name)
    if isinstance(result, str):
        expected = "unsupported_file_type" if Path(name).suffix in UNSUPPORTED else None
        assert result == expected or name in REFUSED.get(result, ())
        return
    misses = {(name, e["text"]) for e in case["expect"] if not found_on(result, e["text"], e.get("page"))}
    assert misses <= KNOWN_MISSES


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert SHARED_DATA is not None
    directory = tmp_path_factory.mktemp("hostile")
    script = SHARED_DATA / "hostile" / "make_hostile.py"
    subprocess.run([sys.executable, str(script), str(directory)], check=True, capture_output=True, timeout=60)
    return directory


async def test_hostile_files_end_with_a_code_or_harmless_text_and_leave_nothing(
    hostile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    listed = [json.loads(line) for line in (hostile / "manifest.jsonl").read_text().splitlines()]
    before, children = _peak_bytes(), child_pids()
    for case in listed:
        result = await asyncio.wait_for(
            outcome(hostile / case["file"], case["upload_name"], case["content_type"]), timeout=30
        )
        text = result if isinstance(result, str) else result.text
        assert case["file"] not in HOSTILE or text in HOSTILE[case["file"]]
        assert "root:" not in text
        assert "\0" not in text
    assert HOSTILE.keys() <= {case["file"] for case in listed}
    assert os.listdir(tmp_path) == []  # noqa: PTH208
    assert child_pids() <= children
    assert _peak_bytes() - before < 150 << 20


@pytest.mark.parametrize(
    ("name", "pages"), [("u_pdf2image-memory-error-test-400p.pdf", 400), ("u_handbook-872p.docx", 0)]
)
async def test_large_files_are_read_within_a_quarter_of_the_memory(name: str, pages: int) -> None:
    assert SHARED_DATA is not None
    path = SHARED_DATA / "files" / name
    with path.open("rb") as file:
        content_type = sniff(file.read(1 << 16), path, name, None)
    document = await build_parser(memory_bytes=192 << 20, cpu_seconds=10).parse(path, content_type)
    assert len(document.pages) == pages
    assert len(document.text) > 300_000
    assert len(document.headings) > 100
