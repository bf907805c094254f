"""The disposable process that parses one untrusted file: standard input is the file, standard output the result.

It loads the parser of the type, gives up every right that parsing does not need (``confine``), and only then reads the
first byte. The result is one JSON object: ``document`` or ``failure`` with ``code``, ``message`` and ``detail``, and
the ``layers`` that confine it. It keeps its imports few: a parse costs what this process takes to start.
"""

import contextlib
import importlib
import os
import sys
from typing import Any

import orjson

from app.adapters.parsing.base import ParsedDocument, ParseFailure
from app.adapters.parsing.confine import confine


def main() -> None:
    """Run the job that the last argument describes (JSON), write its result, and leave without finalisers."""
    job = orjson.loads(sys.argv[-1])
    sys.setrecursionlimit(2_000)
    parser = importlib.import_module(job["module"])
    layers = confine(
        job["readable"],
        memory_bytes=job["memory_bytes"],
        cpu_seconds=job["cpu_seconds"],
        wall_seconds=job["wall_seconds"],
    )
    _write(b'{"layers":%b,%b}' % (orjson.dumps(layers), _attempt(parser, job["max_text_chars"])))
    os._exit(0)


def _attempt(parser: Any, max_text_chars: int) -> bytes:
    """Parse, and give the result as a member of a JSON object."""
    try:
        document: ParsedDocument = parser.parse(sys.stdin.buffer, max_text_chars)
        return b'"document":' + orjson.dumps(document)
    except ParseFailure as failure:
        return _failure(failure.code, failure.message)
    except MemoryError:
        return _failure("parser_out_of_memory")
    # rule: allow broad-except because any defect of a parser is a failure of that file, told to the parent
    except Exception as error:
        return _failure("parser_error", detail=_where(error))


def _failure(code: str, message: str = "", detail: str = "") -> bytes:
    return b'"failure":' + orjson.dumps({"code": code, "message": message, "detail": detail})


def _where(error: Exception) -> str:
    """Say which error rose where, without its message: that may quote the document."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace else ""
    return f"{type(error).__name__} {place}"


def _write(result: bytes) -> None:
    left = memoryview(result)
    with contextlib.suppress(BrokenPipeError):
        while left:
            left = left[os.write(1, left) :]


if __name__ == "__main__":
    main()
