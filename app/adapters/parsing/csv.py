"""Delimited tables: rows as they are written, in blocks that each repeat the header, so that any part explains itself."""

import csv
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from app.adapters.parsing.base import ParsedDocument
from app.adapters.parsing.decode import decode
from app.adapters.parsing.draft import Draft
from app.adapters.parsing.normalise import normalise

_DELIMITERS = ",;\t|"
_BLOCK_CHARS = 800
_WIDE_ROW_CHARS = 160
_WIDE_ROW_CELLS = 8
_HEADER_WITHIN_ROWS = 5
_SAMPLE_LINES = 50


@dataclass(frozen=True, slots=True)
class _Row:
    written: str
    cells: tuple[str, ...]


def parse(file: BinaryIO, max_chars: int) -> ParsedDocument:
    """Render a table for reading and search.

    Narrow rows stay as they are written, under their header, which opens every block of about 800 characters: the
    original row is found verbatim and a block alone says what its columns mean. Wide rows become records, one
    ``header: value`` a line, because nobody counts to the thirtieth comma. Rows above the header are kept before it.
    Raises ParseFailure ``no_text`` or ``text_too_long``.
    """
    text = normalise(decode(file.read()))
    csv.field_size_limit(max(max_chars, 1))
    rows = [row for row in _rows(text, delimiter(text)) if any(row.cells)]
    at = _header_index(rows)
    draft = Draft(max_chars)
    for row in rows[: at or 0]:
        draft.block(row.written)
    header, body = (None, rows) if at is None else (rows[at], rows[at + 1 :])
    for block in _blocks(header, body):
        draft.block(block)
    return draft.finish()


def delimiter(text: str) -> str:
    """Choose the delimiter that gives the first lines the most columns, and the same number in most of them."""
    lines = text[: 1 << 16].split("\n")[:_SAMPLE_LINES]
    return max(_DELIMITERS, key=lambda candidate: _fit(lines, candidate))


def _fit(lines: list[str], candidate: str) -> float:
    widths = [len(cells) for cells in csv.reader(lines, delimiter=candidate) if cells]
    if not widths or max(widths) == 1:
        return 0
    usual = statistics.mode(widths)
    return widths.count(usual) / len(widths) * min(usual, 100) if usual > 1 else 0.5


def _rows(text: str, separator: str) -> Iterator[_Row]:
    lines = text.split("\n")
    reader = csv.reader((line + "\n" for line in lines), delimiter=separator)
    done = 0
    for cells in reader:
        yield _Row("\n".join(lines[done : reader.line_num]).strip(), tuple(cell.strip() for cell in cells))
        done = reader.line_num


def _header_index(rows: list[_Row]) -> int | None:
    width = max((len(row.cells) for row in rows[:_SAMPLE_LINES]), default=0)
    for index, row in enumerate(rows[:_HEADER_WITHIN_ROWS]):
        if len(row.cells) == width > 1 and all(row.cells) and not any(map(_is_number, row.cells)):
            return index
    return None


def _is_number(cell: str) -> bool:
    return cell.strip("+-$€£%() ").replace(",", "").replace(".", "").isdecimal()


def _blocks(header: _Row | None, rows: list[_Row]) -> Iterator[str]:
    if header is None or not rows:
        alone = rows if header is None else [header]
        yield from ("\n".join(row.written for row in group) for group in _groups(alone, 0))
    elif _is_wide(header, rows):
        yield from (_record(header, row) for row in rows)
    else:
        groups = _groups(rows, len(header.written))
        yield from ("\n".join([header.written, *(row.written for row in group)]) for group in groups)


def _is_wide(header: _Row, rows: list[_Row]) -> bool:
    usual = statistics.median(len(row.written) for row in rows)
    return usual > _WIDE_ROW_CHARS or len(header.cells) > _WIDE_ROW_CELLS


def _record(header: _Row, row: _Row) -> str:
    names = [*header.cells, *(f"column {n + 1}" for n in range(len(header.cells), len(row.cells)))]
    return "\n".join(f"{name}: {cell}" for name, cell in zip(names, row.cells, strict=False) if cell)


def _groups(rows: list[_Row], header_chars: int) -> Iterator[list[_Row]]:
    group: list[_Row] = []
    size = header_chars
    for row in rows:
        if group and size + len(row.written) > _BLOCK_CHARS:
            yield group
            group, size = [], header_chars
        group.append(row)
        size += len(row.written) + 1
    yield group
