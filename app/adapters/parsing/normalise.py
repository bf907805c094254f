"""The one form of text that leaves a parser: NFC, line feeds, no NUL or other control characters, no lone surrogates."""

import re
import unicodedata

_LINE_ENDS = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
_DROPPED = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ufeff\ufffe\uffff]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_BLANK_RUNS = re.compile("\n{3,}")
_BLANKS = " \t\xa0"


def normalise(text: str) -> str:
    """Bring text to the form that a database and a tokenizer can take; idempotent.

    Every kind of line end becomes a line feed, controls but tab and line feed go (PostgreSQL refuses NUL), a surrogate
    without its partner becomes U+FFFD. Zero-width characters stay: scripts need them.
    """
    text = _LINE_ENDS.sub("\n", text)
    text = _DROPPED.sub("", text)
    if _SURROGATES.search(text):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return unicodedata.normalize("NFC", text)


def tidy(text: str) -> str:
    """Normalise, strip blanks at line ends and keep at most one empty line in a row; idempotent.

    Line by line, because a pattern for blanks before a line end takes quadratic time on a long run of blanks.
    """
    lines = "\n".join(line.rstrip(_BLANKS) for line in normalise(text).split("\n"))
    return _BLANK_RUNS.sub("\n\n", lines).strip("\n" + _BLANKS)
