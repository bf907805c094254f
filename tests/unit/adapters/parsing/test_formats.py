"""Each parser keeps what a reader would read, in order, with its structure, and nothing that a reader would not."""

import io
import types
from collections import Counter

import pytest

from app.adapters.parsing import csv, docx, html, markdown, pdf, text
from app.adapters.parsing.base import ParsedDocument, ParseFailure
from tests.unit.adapters.parsing import samples

P = samples.paragraph


def parsed(parser: types.ModuleType, content: bytes | str, max_chars: int = 100_000) -> ParsedDocument:
    data = content.encode() if isinstance(content, str) else content
    document: ParsedDocument = parser.parse(io.BytesIO(data), max_chars)
    assert all(heading.title in document.text[heading.start :] for heading in document.headings)
    return document


def outline(document: ParsedDocument) -> list[tuple[int, str]]:
    return [(heading.level, heading.title) for heading in document.headings]


def test_html_keeps_visible_text_headings_and_rows() -> None:
    document = parsed(
        html,
        "<html><head><title> A  page </title><style>STYLE</style></head><body><nav>MENU</nav><h1>One <b>two</b></h1>"
        "<p>Some <i>in</i>line\n text<br>next line</p><script>SCRIPT</script><p hidden>HIDDEN</p>"
        "<div style='display: none'>HIDDEN</div><ul><li>first<li>second</ul>"
        "<table><tr><th>Name<th>Age</tr><tr><td><p>Ann</p><td>7</tr></table><pre>a  b\n  c</pre>"
        "<form><p>kept</p></form><noscript>NOSCRIPT</noscript></body></html>",
    )
    assert document.title == "A page"
    assert outline(document) == [(1, "One two")]
    assert document.text == (
        "One two\n\nSome inline text\nnext line\n\nfirst\nsecond\n\nName | Age\nAnn | 7\n\na  b\n c\n\nkept"
    )


def test_html_believes_its_meta_element_where_it_is_not_utf8() -> None:
    page = "<html><meta charset=windows-1251><p>Привет</p>".encode("cp1251")
    assert parsed(html, page).text == "Привет"


def test_html_nested_deeper_than_any_stack_is_read() -> None:
    assert parsed(html, "<div>" * 10_000 + "deep").text == "deep"


def test_markdown_stays_as_written_and_headings_are_those_of_commonmark() -> None:
    source = "---\ntitle: 'From front'\n---\n# Top #\n\n```\n# not a heading\n```\n\nSetext\n------\n\n    # code\n\n### Deep\n"
    document = parsed(markdown, source)
    assert document.text == source.strip()
    assert document.title == "From front"
    assert outline(document) == [(1, "Top"), (2, "Setext"), (3, "Deep")]
    assert [document.text[heading.start :].split("\n")[0] for heading in document.headings] == [
        "# Top #",
        "Setext",
        "### Deep",
    ]


def test_csv_rows_stay_verbatim_under_a_header_that_every_block_repeats() -> None:
    rows = [f"Team {n},TOR,{n}" for n in range(200)]
    document = parsed(csv, "\n".join(["Stanley Cups,,", "Team,Location,Cups", *rows]))
    blocks = document.text.split("\n\n")
    assert blocks[0] == "Stanley Cups,,"
    assert len(blocks) > 4
    assert all(block.startswith("Team,Location,Cups\n") and len(block) < 1000 for block in blocks[1:])
    assert [line for block in blocks[1:] for line in block.split("\n")[1:]] == rows


def test_csv_of_wide_rows_becomes_records() -> None:
    header = ";".join(f"column {letter}" for letter in "abcdefghijkl")
    document = parsed(csv, f'{header}\n1;2;"three; quoted\nlines";;5;6;7;8;9;10;11;12\n')
    assert "column a: 1\ncolumn b: 2\ncolumn c: three; quoted\nlines\ncolumn e: 5" in document.text


@pytest.mark.parametrize(
    ("source", "expected"), [("a;b\n1,5;2", ";"), ("a\tb\nc\td", "\t"), ("a|b\nc|d", "|"), ("x", ",")]
)
def test_csv_delimiter(source: str, expected: str) -> None:
    assert csv.delimiter(source) == expected


def test_docx_reads_paragraphs_tables_notes_and_insertions_in_order() -> None:
    row = "<w:tr>{}</w:tr>".format("".join(f"<w:tc>{P(cell)}</w:tc>" for cell in ("a", "b")))
    body = (
        P("Chapter", "berschrift1")
        + '<w:p><w:r><w:t xml:space="preserve">Old </w:t></w:r><w:ins><w:r><w:t>new</w:t></w:r></w:ins>'
        + "<w:del><w:r><w:delText>DELETED</w:delText></w:r></w:del>"
        + '<w:r><w:footnoteReference w:id="2"/></w:r></w:p>'
        + f"<w:tbl>{row}{row}</w:tbl>"
        + f"<w:sdt><w:sdtContent>{P('Inside a control')}</w:sdtContent></w:sdt>"
    )
    styles = '<w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>'
    notes = f'<w:footnote w:id="0" w:type="separator">{P("SEPARATOR")}</w:footnote><w:footnote w:id="2">{P("A note")}</w:footnote>'
    document = parsed(docx, samples.docx(body, styles=styles, footnotes=notes))
    assert document.text == "Chapter\n\nOld new\n[Note 2] A note\n\na | b\na | b\n\nInside a control"
    assert outline(document) == [(1, "Chapter")]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"PK\x03\x04 not a zip", "docx_broken"),
        (samples.raw_docx('<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'), "docx_broken"),
        (samples.raw_docx("<unclosed>"), "docx_broken"),
        (samples.raw_docx("<x>" + " " * (70 << 20) + "</x>"), "zip_bomb"),
        (samples.docx(P("a" * 3_000_000)), "zip_bomb"),
        (samples.docx(P("long enough") * 20), "text_too_long"),
        (samples.docx("<w:sdt>" * 5_000 + "</w:sdt>" * 5_000), "docx_broken"),
        (samples.docx(""), "no_text"),
    ],
)
def test_docx_bombs_and_ruins_fail_with_a_code(content: bytes, code: str) -> None:
    with pytest.raises(ParseFailure) as failure:
        parsed(docx, content, max_chars=100)
    assert failure.value.code == code


def test_docx_that_lies_about_the_size_of_a_part_is_refused() -> None:
    honest = samples.raw_docx("<x>" + "a" * 5000 + "</x>")
    lying = honest.replace((5007).to_bytes(4, "little"), (20).to_bytes(4, "little"))
    assert lying != honest
    with pytest.raises(ParseFailure) as failure:
        parsed(docx, lying)
    assert failure.value.code == "docx_broken"


def test_pdf_pages_keep_their_numbers_empty_ones_included() -> None:
    document = parsed(pdf, samples.pdf("First page", "", "Third page"))
    assert [(page.number, document.text[page.start : page.end]) for page in document.pages] == [
        (1, "First page"),
        (2, ""),
        (3, "Third page"),
    ]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (samples.pdf("", ""), "no_text"),
        (b"%PDF-1.7\nnothing", "pdf_broken"),
        (samples.pdf("word " * 50), "text_too_long"),
    ],
)
def test_pdf_failures_have_codes(content: bytes, code: str) -> None:
    with pytest.raises(ParseFailure) as failure:
        parsed(pdf, content, max_chars=100)
    assert failure.value.code == code


@pytest.mark.parametrize(
    ("source", "words", "expected"),
    [
        ("an infor-\nmation desk", {"information": 1}, "an information\n desk"),
        ("a well-\nknown fact", {"well-known": 2, "wellknown": 1}, "a well-known\n fact"),
        ("a never-\nseen word", {}, "a never-seen\n word"),
        ("a soft\ufffe\r\nened word,", {}, "a softened\n word,"),
        ("Anglo-\nSaxon", {"anglosaxon": 1}, "Anglo-Saxon\n"),
        ("pages 3-\n4", {}, "pages 3-\n4"),
    ],
)
def test_words_broken_at_line_ends_are_joined_only_on_evidence(
    source: str, words: dict[str, int], expected: str
) -> None:
    assert pdf.join_broken_words(source, Counter(words)) == expected


def test_plain_text_is_tidied_and_bounded() -> None:
    assert parsed(text, b"\xef\xbb\xbfa\r\n\r\n\r\n\r\nb \0\n").text == "a\n\nb"
    for content, code in ((" \n\t" * 10, "no_text"), ("a" * 101, "text_too_long")):
        with pytest.raises(ParseFailure) as failure:
            parsed(text, content, max_chars=100)
        assert failure.value.code == code
