"""Parses a file in a disposable child process, so that a hostile file costs one failed document and nothing else.

The child starts from a bare interpreter (no ``site``, no ``.pth`` files, an empty environment, its own empty
directory), confines itself (see ``confine``) and gets the file as an open descriptor. The parent bounds time and
output, kills the whole process group, and checks what comes back.
"""

import asyncio
import os
import signal
import sys
import sysconfig
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
import structlog

from app.adapters.parsing.base import ParsedDocument, ParseFailure
from app.adapters.parsing.content_types import CSV, DOCX, HTML, MARKDOWN, PDF, PLAIN
from app.adapters.parsing.process import Ending, Process
from app.adapters.parsing.result import read_result

log = structlog.get_logger()

PARSERS: Mapping[str, str] = {
    PDF: "app.adapters.parsing.pdf",
    DOCX: "app.adapters.parsing.docx",
    HTML: "app.adapters.parsing.html",
    MARKDOWN: "app.adapters.parsing.markdown",
    PLAIN: "app.adapters.parsing.text",
    CSV: "app.adapters.parsing.csv",
}
"""The module that parses a content type, ``parse(file, max_chars)`` in it; only the child imports it."""

EXPECTED_LAYERS = frozenset({"rlimits", "no_new_privs", "seccomp", "landlock"})
"""Without one of these the child is confined less than it should be, and the log says so."""

_BOOTSTRAP = "import sys; sys.path += sys.argv[1].split('\\n'); from app.adapters.parsing.child import main; main()"
_APP = Path(__file__).parents[2]
_OUTPUT_BYTES_PER_CHAR = 6  # JSON writes a control character as six bytes, UTF-8 needs at most four
_OUTPUT_BYTES_BESIDE_TEXT = 16 << 20
_RETRY = "Try again; if it fails again, save the file anew with another program."


class SandboxedParser:
    """A DocumentParser that trusts nothing: one child process a file, ``parallel`` of them at a time.

    ``memory_bytes`` bounds the child's address space (its libraries take 40 to 90 MB of it), ``cpu_seconds`` and
    ``wall_seconds`` its time, ``max_text_chars`` the text in code points. It works on any event loop, in any thread.
    """

    def __init__(
        self,
        *,
        wall_seconds: float = 60,
        cpu_seconds: int = 60,
        memory_bytes: int = 512 << 20,
        max_text_chars: int = 10_000_000,
        parallel: int | None = None,
        parsers: Mapping[str, str] = PARSERS,
    ) -> None:
        self._wall_seconds = wall_seconds
        self._cpu_seconds = cpu_seconds
        self._memory_bytes = memory_bytes
        self._max_text_chars = max_text_chars
        self._parsers = parsers
        self._threads = ThreadPoolExecutor(parallel or os.cpu_count() or 1, thread_name_prefix="parse")
        self._import_path = _import_path()
        self._readable = _readable(self._import_path[:-1])
        self._has_reported_layers = False

    async def parse(self, path: Path, content_type: str) -> ParsedDocument:
        """Parse a file; cancelling kills the child before it returns.

        Raises ParseFailure with the parser's own code, or ``unsupported_file_type``, ``parser_timeout``,
        ``parser_out_of_memory``, ``parser_crashed``, ``parser_error``, ``text_too_long``; OSError when the file
        cannot be opened or the child not be started, which is no fault of the file.
        """
        module = self._parsers.get(content_type)
        if module is None:
            raise ParseFailure("unsupported_file_type", f"Files of type {content_type} cannot be read.")
        process = Process(
            self._command(module),
            path,
            wall_seconds=self._wall_seconds,
            max_output_bytes=self._max_text_chars * _OUTPUT_BYTES_PER_CHAR + _OUTPUT_BYTES_BESIDE_TEXT,
        )
        return await self._supervise(process, content_type)

    async def _supervise(self, process: Process, content_type: str) -> ParsedDocument:
        work = self._threads.submit(lambda: self._outcome(process.run(), content_type))
        try:
            return await asyncio.wrap_future(work)
        except asyncio.CancelledError:
            process.kill()
            if not work.cancelled():
                await asyncio.gather(asyncio.wrap_future(work), return_exceptions=True)
            raise

    def _command(self, module: str) -> list[str]:
        job = {
            "module": module,
            "readable": self._readable,
            "memory_bytes": self._memory_bytes,
            "cpu_seconds": self._cpu_seconds,
            "wall_seconds": int(self._wall_seconds) + 5,
            "max_text_chars": self._max_text_chars,
        }
        interpreter = [sys.executable, "-I", "-S", "-B", "-X", "utf8", "-c", _BOOTSTRAP]
        return [*interpreter, "\n".join(self._import_path), orjson.dumps(job).decode()]

    def _outcome(self, ending: Ending, content_type: str) -> ParsedDocument:
        try:
            return self._document(ending)
        except ParseFailure as failure:
            log.info("parse_failed", code=failure.code, content_type=content_type, cause=ending.cause, exit=ending.code)
            raise

    def _document(self, ending: Ending) -> ParsedDocument:
        if ending.cause != "ended" or ending.code != 0:
            raise _failure_of(ending)
        try:
            result = read_result(ending.output, self._max_text_chars)
        except ValueError:
            raise ParseFailure("parser_crashed", _MESSAGES["parser_crashed"]) from None  # the cause quotes the text
        self._report_layers(result.layers)
        if result.document:
            return result.document
        assert result.failure is not None
        if result.failure.detail:
            log.warning("parser_raised", code=result.failure.code, detail=result.failure.detail[:200])
        raise ParseFailure(result.failure.code, result.failure.message or _message(result.failure.code))

    def _report_layers(self, layers: list[str]) -> None:
        missing = EXPECTED_LAYERS.difference(layers)
        if missing and not self._has_reported_layers:
            self._has_reported_layers = True
            log.warning("parser_confined_in_part", missing=sorted(missing))


_MESSAGES = {
    "parser_timeout": "Reading the file took too long. Split it into smaller files, or save it in a simpler format.",
    "parser_out_of_memory": "Reading the file took too much memory. Split it into smaller files.",
    "text_too_long": "The file holds more text than is allowed. Split it into several files.",
    "parser_crashed": f"The file made its reader crash: it is damaged, or needs far too much memory. {_RETRY}",
}


def _failure_of(ending: Ending) -> ParseFailure:
    code = "parser_crashed"
    if ending.cause == "killed":
        code = "parser_cancelled"
    elif ending.cause == "timed_out" or -ending.code in {signal.SIGXCPU, signal.SIGALRM}:
        code = "parser_timeout"
    elif ending.cause == "wrote_too_much":
        code = "text_too_long"
    elif -ending.code == signal.SIGKILL:
        code = "parser_out_of_memory"  # not our kill, so the kernel's, which does it for want of memory
    return ParseFailure(code, _message(code))


def _message(code: str) -> str:
    return _MESSAGES.get(code, f"The file could not be read. {_RETRY}")


def _import_path() -> list[str]:
    """Where the child finds packages; the application's own root comes last, as nothing there may shadow a library."""
    root = str(_APP.parent)
    libraries = [entry for entry in sys.path if Path(entry).is_absolute() and entry != root]
    return [*libraries, root]


def _readable(libraries: list[str]) -> list[str]:
    """The interpreter, its packages, and our package, not its root: in a checkout that holds data and settings too."""
    paths = sysconfig.get_paths()
    interpreter = [paths["stdlib"], paths["platstdlib"], paths["purelib"], paths["platlib"]]
    packages = [path for path in libraries if path.endswith(("-packages", "lib-dynload"))]
    return sorted({*interpreter, *packages, str(_APP)})
