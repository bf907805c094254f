"""PDF files: the text of every page, the outline as headings, words that were broken at line ends made whole."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO

import pypdfium2
import pypdfium2.raw as pdfium

from app.adapters.parsing.base import PageSpan, ParsedDocument, ParseFailure
from app.adapters.parsing.draft import Draft, one_line, too_long

_MOST_PAGES = 20_000
_MOST_OUTLINE_ENTRIES = 5_000
_BROKEN_WORD = re.compile("([^\\W\\d_]{2,})[\x02\ufffe-][ \t]*\r?\n([^\\W\\d_]{2,})([^\\w\\s]*)")
_WRITTEN = {pdfium.FPDF_ANNOT_FREETEXT, pdfium.FPDF_ANNOT_WIDGET, pdfium.FPDF_ANNOT_STAMP}
_FLATTENED = pdfium.FLATTEN_SUCCESS
_MARKED_HYPHEN = re.compile("[\x02\ufffe]")
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_LIGATURES = str.maketrans({0xFB00 + n: text for n, text in enumerate(("ff", "fi", "fl", "ffi", "ffl", "st", "st"))})


def parse(file: BinaryIO, max_chars: int) -> ParsedDocument:
    """Extract the text page by page.

    Raises ParseFailure ``pdf_encrypted``, ``pdf_broken``, ``no_text`` (a scan), ``too_many_pages``, ``text_too_long``.
    """
    document = _open(file.read())
    pages = list(_pages(document, max_chars))
    if not any(text.strip() for text in pages):
        raise ParseFailure(
            "no_text", "The PDF has no text: it looks scanned. Run OCR (text recognition) on it and upload the result."
        )
    words = Counter(word.lower() for text in pages for word in _WORD.findall(text))
    draft = Draft(max_chars)
    draft.title = document.get_metadata_value("Title")
    spans = [draft.page(number, join_broken_words(text, words)) for number, text in enumerate(pages, start=1)]
    parsed = draft.finish()
    for level, title, page in _outline(document):
        draft.mark_heading(level, title, _title_offset(parsed.text, spans[page], title))
    return draft.finish()


def _open(data: bytes) -> pypdfium2.PdfDocument:
    try:
        document = pypdfium2.PdfDocument(data)
        count = len(document)
    except pypdfium2.PdfiumError as error:
        if error.err_code in {pdfium.FPDF_ERR_PASSWORD, pdfium.FPDF_ERR_SECURITY}:
            raise ParseFailure(
                "pdf_encrypted", "The PDF is protected by a password. Remove the protection and upload it again."
            ) from error
        raise _broken() from error
    if count < 1:
        raise _broken()
    if count > _MOST_PAGES:
        raise ParseFailure("too_many_pages", f"The PDF has more than {_MOST_PAGES} pages. Split it into several files.")
    return document


def _broken() -> ParseFailure:
    return ParseFailure("pdf_broken", "The PDF is damaged. Open it in a viewer, save it anew and upload the result.")


def _pages(document: pypdfium2.PdfDocument, max_chars: int) -> Iterator[str]:
    left = max_chars
    for index in range(len(document)):
        text = _page_text(document, index)
        left -= len(text.strip())
        if left < 0:
            raise too_long(max_chars)
        yield text


def _page_text(document: pypdfium2.PdfDocument, index: int) -> str:
    """Give a page's text; a page that cannot be loaded counts as empty, so that the others keep their numbers."""
    try:
        page = document[index]
        if _has_written_annotations(page) and pdfium.FPDFPage_Flatten(page, pdfium.FLAT_NORMALDISPLAY) == _FLATTENED:
            page.close()
            page = document[index]
        text = str(page.get_textpage().get_text_range())
        page.close()
    except pypdfium2.PdfiumError:
        return ""
    return text.translate(_LIGATURES)


def _has_written_annotations(page: pypdfium2.PdfPage) -> bool:
    """Say whether the page has form fields, typed comments or stamps: only once flattened are they part of its text."""
    for index in range(pdfium.FPDFPage_GetAnnotCount(page)):
        annotation = pdfium.FPDFPage_GetAnnot(page, index)
        subtype = pdfium.FPDFAnnot_GetSubtype(annotation)
        pdfium.FPDFPage_CloseAnnot(annotation)
        if subtype in _WRITTEN:
            return True
    return False


def join_broken_words(text: str, words: Counter[str]) -> str:
    """Join words that a hyphen breaks at a line end, the line break moving behind the word.

    ``words`` counts the document's words. The hyphen stays where the word occurs with it elsewhere, goes where the
    joined word occurs elsewhere or where the file marks it as soft; a plain hyphen without such a witness stays.
    """

    def joined(match: re.Match[str]) -> str:
        left, right, after = match.groups()
        is_soft = match[0][len(left)] != "-"
        whole = f"{left}{right}".lower()
        hyphen = "-" if words[f"{left}-{right}".lower()] or not (words[whole] or is_soft) or right[0].isupper() else ""
        return f"{left}{hyphen}{right}{after}\n"

    return _MARKED_HYPHEN.sub("-", _BROKEN_WORD.sub(joined, text))


def _outline(document: pypdfium2.PdfDocument) -> Iterator[tuple[int, str, int]]:
    try:
        for _, entry in zip(range(_MOST_OUTLINE_ENTRIES), document.get_toc(max_depth=6), strict=False):
            destination = entry.get_dest()
            page = destination.get_index() if destination else None
            title = one_line(entry.get_title())
            if page is not None and page < len(document) and title:
                yield entry.level + 1, title, page
    except (pypdfium2.PdfiumError, UnicodeDecodeError):
        return


def _title_offset(text: str, page: PageSpan, title: str) -> int:
    """Find the line of a heading on its page, blanks and case aside; the top of the page where it is not found."""
    pattern = r"\s+".join(re.escape(word) for word in title.split())
    found = re.compile(pattern, re.IGNORECASE).search(text, page.start, page.end)
    return max(page.start, text.rfind("\n", page.start, found.start()) + 1) if found else page.start
