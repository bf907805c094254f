"""Structured logs: static events with facts as fields, the request and its tenant on every line."""

import logging
import sys
from typing import Literal

import orjson
import structlog
from structlog.types import EventDict, Processor, WrappedLogger

_SECRET_WORDS = ("api_key", "authorization", "password", "secret", "token_value", "credential")


def configure_logging(level: str, log_format: Literal["auto", "console", "json"]) -> None:
    """Send structlog's and the standard library's records to standard error in one form."""
    is_console = sys.stderr.isatty() if log_format == "auto" else log_format == "console"
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _redact,
    ]
    renderer: list[Processor] = (
        [
            _escape,
            structlog.dev.ConsoleRenderer(pad_event_to=28, exception_formatter=structlog.dev.plain_traceback),
        ]
        if is_console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_dumps)]
    )
    minimum = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(minimum),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    _route_standard_library(shared, renderer, minimum)


def _route_standard_library(shared: list[Processor], renderer: list[Processor], minimum: int) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(minimum, logging.WARNING))


def _redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    for key in event:
        if any(word in key for word in _SECRET_WORDS):
            event[key] = "[redacted]"
    return event


def _escape(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Show control characters instead of sending them to the terminal, which would obey."""
    return {
        key: ascii(value) if isinstance(value, str) and not value.isprintable() else value
        for key, value in event.items()
    }


def _dumps(event: EventDict, **_: object) -> str:
    return orjson.dumps(event, default=str).decode()
