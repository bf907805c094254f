"""Rules on log calls: a static event, facts as fields."""

import ast
import re
from collections.abc import Iterator

from scripts.rules.model import Rule, Source, calls, last

_METHODS = {"debug", "info", "warning", "warn", "error", "exception", "critical", "msg", "log"}
_METHODS |= {f"a{method}" for method in _METHODS}
_LOGGER = re.compile(r"^_*(log|logger|logging|get_logger|getLogger)$", re.IGNORECASE)


def _is_built(node: ast.expr) -> bool:
    """Whether an argument is text put together at the call."""
    match node:
        case ast.JoinedStr():
            return True
        case ast.BinOp(op=ast.Mod() | ast.Add(), left=left, right=right):
            return any(isinstance(side, ast.Constant) and isinstance(side.value, str) for side in (left, right))
        case ast.Call(func=ast.Attribute(value=ast.Constant(), attr="format")):
            return True
    return False


def _built_events(source: Source) -> Iterator[int]:
    for call, name in calls(source):
        receiver, _, method = name.rpartition(".")
        if method not in _METHODS or not _LOGGER.match(last(receiver)):
            continue
        if any(_is_built(argument) for argument in [*call.args, *(keyword.value for keyword in call.keywords)]):
            yield call.lineno


RULES = [
    Rule(
        "built-log-event",
        'an event is static and facts are fields: log.info("document_ingested", chunks=n), never text put together',
        _built_events,
    ),
]
