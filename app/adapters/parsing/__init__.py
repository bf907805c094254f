"""Parsers of untrusted files, run in a disposable child process, behind one port.

Importing this package loads no parser: the libraries for PDF, HTML and Markdown live in the child alone.
"""

from app.adapters.parsing.base import DocumentParser, Heading, PageSpan, ParsedDocument, ParseFailure
from app.adapters.parsing.sniff import sniff

__all__ = ["DocumentParser", "Heading", "PageSpan", "ParseFailure", "ParsedDocument", "build_parser", "sniff"]


def build_parser(
    *,
    wall_seconds: float = 60,
    cpu_seconds: int = 60,
    memory_bytes: int = 512 << 20,
    max_text_chars: int = 10_000_000,
    parallel: int | None = None,
) -> DocumentParser:
    """Build the parser of this installation; the limits are those of each file, ``parallel`` defaults to the CPUs."""
    from app.adapters.parsing.sandbox import SandboxedParser  # noqa: PLC0415  the child imports this package too: 50 ms

    return SandboxedParser(
        wall_seconds=wall_seconds,
        cpu_seconds=cpu_seconds,
        memory_bytes=memory_bytes,
        max_text_chars=max_text_chars,
        parallel=parallel,
    )
