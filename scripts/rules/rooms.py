"""Rules on what belongs in which room: queries, settings, the clock, the request's address."""

import ast
from collections.abc import Iterator

from scripts.rules.model import Rule, Source, calls, dotted, last

_STATEMENTS = {"select", "insert", "update", "delete", "text"}
_EXECUTIONS = {"execute", "scalar", "scalars", "stream", "stream_scalars", "exec_driver_sql"}
_CONNECTIONS = ("session", "connection", "conn", "engine")
_QUERY_ROOMS = ("app/repositories", "app/models", "app/core/database.py", "app/core/database", "app/core/migrations.py")


def _imports_from(source: Source, package: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == package:
            for alias in node.names:
                yield node.lineno, alias.name


def _queries(source: Source) -> Iterator[int]:
    if not source.is_under("app") or source.is_under(*_QUERY_ROOMS):
        return
    yield from (line for line, name in _imports_from(source, "sqlalchemy") if name in _STATEMENTS)
    for call, name in calls(source):
        receiver, _, method = name.rpartition(".")
        if method in _EXECUTIONS and last(receiver).lstrip("_").endswith(_CONNECTIONS):
            yield call.lineno


def _environment(source: Source) -> Iterator[int]:
    if not source.is_under("app") or source.is_under("app/core/config.py"):
        return
    yield from (line for line, name in _imports_from(source, "os") if name in {"environ", "getenv"})
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and dotted(node) in {"os.environ", "os.getenv"}:
            yield node.lineno


_WALL_CLOCKS = {"now", "utcnow", "today"}
_TIME_CLOCKS = {"time.time", "time.time_ns"}


def _clock(source: Source) -> Iterator[int]:
    if not source.is_under("app") or source.is_under("app/core/clock.py", "app/core/ids.py"):
        return
    yield from (line for line, name in _imports_from(source, "time") if name in {"time", "time_ns"})
    for call, name in calls(source):
        receiver, _, method = name.rpartition(".")
        if name in _TIME_CLOCKS or (method in _WALL_CLOCKS and last(receiver) in {"datetime", "date"}):
            yield call.lineno


def _request_url(source: Source) -> Iterator[int]:
    if not source.is_under("app") or source.is_under("app/core/logging.py", "app/middleware/access_log.py"):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and node.attr in {"url", "base_url"}:
            owner = last(dotted(node.value))
            if owner in {"request", "_request"}:
                yield node.lineno


RULES = [
    Rule(
        "query-outside-repository",
        "a query lives in app/repositories, where every statement starts scoped to a tenant; add a method there",
        _queries,
    ),
    Rule(
        "environment-outside-config",
        "the environment is read once, by app/core/config.py; add a setting and pass the value in",
        _environment,
    ),
    Rule(
        "clock-outside-core",
        "time comes from app.core.clock.utc_now(), so that tests can move it; durations come from time.monotonic()",
        _clock,
    ),
    Rule(
        "request-url",
        "request.url is made from a header that the caller chooses; decide by route and path parameters instead",
        _request_url,
    ),
]
