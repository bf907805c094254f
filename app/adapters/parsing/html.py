"""HTML as a reader sees it: visible text in order, headings, tables as rows; scripts, styles and navigation left out."""

import codecs
import re
from typing import BinaryIO

from selectolax.lexbor import LexborHTMLParser, LexborNode

from app.adapters.parsing.base import ParsedDocument
from app.adapters.parsing.decode import decode
from app.adapters.parsing.draft import Draft

_UNREAD = frozenset({
    "script", "style", "template", "noscript", "nav", "svg", "math", "canvas", "iframe", "object", "embed", "audio",
    "video", "map", "button", "select", "textarea", "input", "dialog", "head",
})  # fmt: skip
_BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "div", "dl", "dt",
    "fieldset", "figcaption", "figure", "footer", "header", "hr", "li", "main", "ol", "p", "pre", "section",
    "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul", "html",
})  # fmt: skip
_ROWS = frozenset({"tr", "li", "dt", "dd"})
_CELLS = frozenset({"td", "th"})
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_SPACES = re.compile(r"[ \t\n\r\f]+")
_AROUND_BREAK = re.compile(r" ?\n ?")
_LONGEST_ROW = 400
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([a-zA-Z0-9_:.-]{2,40})", re.IGNORECASE)
_WEB_LABELS = {
    "iso-8859-1": "cp1252",
    "latin1": "cp1252",
    "us-ascii": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc-kr": "cp949",
    "x-sjis": "cp932",
}
"""Labels that the web reads as a larger encoding (WHATWG Encoding, 4.2)."""


def parse(file: BinaryIO, max_chars: int) -> ParsedDocument:
    """Extract the visible text; raises ParseFailure ``no_text`` or ``text_too_long``."""
    data = file.read()
    tree = LexborHTMLParser(decode(data, meta_charset(data[:4096])))
    draft = Draft(max_chars)
    title = tree.css_first("title", default=None)
    draft.title = title.text() if title else None
    root = tree.body or tree.root
    if root is not None:
        _Reader(draft).read(root)
    return draft.finish()


def meta_charset(head: bytes) -> str | None:
    """Give Python's name of the encoding that a ``meta`` element declares; None where it declares none that we know."""
    found = _META_CHARSET.search(head)
    label = found[1].decode("ascii").lower() if found else ""
    name = _WEB_LABELS.get(label, label)
    try:
        return codecs.lookup(name).name if name and not name.startswith("utf-16") else None
    except LookupError:
        return None


class _Reader:
    """Walks a tree without recursion, so that no depth of nesting overflows a stack."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._inline: list[str] = []
        self._inline_chars = 0
        self._rows = 0
        self._verbatim = 0
        self._separator = "\n\n"

    def read(self, root: LexborNode) -> None:
        node: LexborNode | None = root
        while node is not None:
            child = node.child if self._enter(node) else None
            while child is None and node is not None:
                self._leave(node)
                child = None if node.mem_id == root.mem_id else node.next
                node = None if node.mem_id == root.mem_id else node.parent if child is None else node
            node = child
        self._flush()

    def _enter(self, node: LexborNode) -> bool:
        if node.is_text_node:
            self._text(node.text_content or "")
            return False
        tag = node.tag or ""
        if tag in _UNREAD or tag.startswith("-") or _is_hidden(node):
            return False
        if tag == "table" or tag in _HEADINGS:
            self._flush()
        elif tag in _CELLS:
            self._cell()
        elif tag in _ROWS and not self._inline_chars:
            self._inline.clear()
        elif tag in _BLOCKS:
            self._boundary()
        self._count(tag, 1)
        return True

    def _leave(self, node: LexborNode) -> None:
        tag = node.tag or ""
        if tag in _UNREAD or tag.startswith("-") or _is_hidden(node):
            return
        self._count(tag, -1)
        if tag in _HEADINGS:
            self._heading(_HEADINGS[tag])
        elif tag in _ROWS:
            self._flush("\n")
        elif tag == "table":
            self._flush()
        elif tag == "br":
            self._text(" " if self._rows else "\n")
        elif tag in _BLOCKS and tag not in _CELLS:
            self._boundary()

    def _count(self, tag: str, step: int) -> None:
        self._rows += step * (tag == "tr")
        self._verbatim += step * (tag == "pre")

    def _text(self, text: str) -> None:
        if not self._verbatim and text != "\n":
            text = _SPACES.sub(" ", text)
            if not self._inline or self._inline[-1].endswith((" ", "\n")):
                text = text.removeprefix(" ")
        if text:
            self._inline.append(text)
            self._inline_chars += len(text.strip())

    def _cell(self) -> None:
        if self._inline_chars:
            self._inline[-1] = self._inline[-1].rstrip(" ")
            self._inline.append(" | ")

    def _boundary(self) -> None:
        if self._rows and self._inline_chars < _LONGEST_ROW:
            self._text(" ")
        else:
            self._flush()

    def _heading(self, level: int) -> None:
        title = "".join(self._inline)
        self._clear()
        self._draft.heading(level, title)
        self._separator = "\n\n"

    def _flush(self, separator: str = "\n\n") -> None:
        if self._inline_chars:
            self._draft.block(_AROUND_BREAK.sub("\n", "".join(self._inline)), separator=self._separator)
            self._separator = separator
        elif separator == "\n\n":
            self._separator = separator
        self._clear()

    def _clear(self) -> None:
        self._inline.clear()
        self._inline_chars = 0


def _is_hidden(node: LexborNode) -> bool:
    attributes = node.attributes
    if not attributes:
        return False
    style = (attributes.get("style") or "").replace(" ", "").lower()
    return "hidden" in attributes or attributes.get("role") == "navigation" or "display:none" in style
