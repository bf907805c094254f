"""Rules on what must not vanish: exceptions and tasks."""

import ast
from collections.abc import Iterator

from scripts.rules.model import Rule, Source, calls, dotted, last

_BLIND = {"Exception", "BaseException"}


def _is_blind(kind: ast.expr | None) -> bool:
    if kind is None:
        return True
    if isinstance(kind, ast.Tuple):
        return any(_is_blind(element) for element in kind.elts)
    return last(dotted(kind)) in _BLIND


def _always_raises(handler: ast.ExceptHandler) -> bool:
    """Whether the handler raises whatever happens: a raise under a condition still lets something vanish."""
    return any(isinstance(statement, ast.Raise) for statement in handler.body)


def _broad_except(source: Source) -> Iterator[int]:
    if not source.is_under("app", "scripts", "examples"):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler) and _is_blind(node.type) and not _always_raises(node):
            yield node.lineno
    for call, name in calls(source):
        if last(name) == "suppress" and any(_is_blind(argument) for argument in call.args):
            yield call.lineno


def _dropped_task(source: Source) -> Iterator[int]:
    for node in ast.walk(source.tree):
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
            continue
        receiver, _, function = dotted(node.value.func).rpartition(".")
        is_loop = receiver in {"", "asyncio"} or last(receiver).endswith(("loop", "get_running_loop"))
        if function == "ensure_future" or (function == "create_task" and is_loop):
            yield node.lineno


RULES = [
    Rule(
        "broad-except",
        "catch what you can name, or let it reach the one handler that logs it; re-raise if this only cleans up",
        _broad_except,
    ),
    Rule(
        "dropped-task",
        "the loop keeps only a weak reference, so this task may vanish half-way; keep it, or use a TaskGroup",
        _dropped_task,
    ),
]
