"""Rules on the doors: routes say who may call, middleware is pure ASGI, the broker keeps no time."""

import ast
import re
from collections.abc import Iterator

from scripts.rules.model import Rule, Source, calls, dotted, functions, last

_VERBS = {"get", "post", "put", "patch", "delete", "head", "options", "api_route", "websocket"}
_ACCESS = re.compile(r"(Reader|Writer|Caller|Admin|User|Owner)$")


def _is_route(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    for decorator in function.decorator_list:
        receiver, _, verb = dotted(decorator).rpartition(".")
        if isinstance(decorator, ast.Call) and verb in _VERBS and last(receiver).endswith("router"):
            return True
    return False


def _access_aliases(source: Source) -> set[str]:
    """The names that the file imports from app.api.access and that read like an access alias."""
    return {
        alias.asname or alias.name
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ImportFrom) and node.module == "app.api.access"
        for alias in node.names
        if _ACCESS.search(alias.name)
    }


def _undeclared_access(source: Source) -> Iterator[int]:
    if not source.is_under("app/api"):
        return
    aliases = _access_aliases(source)
    for function in functions(source.tree):
        if not _is_route(function):
            continue
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        named = {dotted(argument.annotation) for argument in arguments if argument.annotation}
        if not named & aliases:
            yield min(function.lineno, *(decorator.lineno for decorator in function.decorator_list))


def _base_http_middleware(source: Source) -> Iterator[int]:
    if not source.is_under("app"):
        return
    for node in ast.walk(source.tree):
        match node:
            case ast.ImportFrom(names=names) if any(alias.name == "BaseHTTPMiddleware" for alias in names):
                yield node.lineno
            case ast.Attribute(attr="BaseHTTPMiddleware"):
                yield node.lineno
            case ast.Call(func=ast.Attribute(attr="middleware"), args=[ast.Constant(value="http"), *_]):
                yield node.lineno


def _broker_delay(source: Source) -> Iterator[int]:
    if not source.is_under("app"):
        return
    for call, _ in calls(source):
        if any(keyword.arg in {"countdown", "eta"} for keyword in call.keywords):
            yield call.lineno


RULES = [
    Rule(
        "route-without-access",
        "the parameter list says who may call: take an alias of app/api/access.py (..Reader, ..Writer, ..Caller, ..Admin)",
        _undeclared_access,
    ),
    Rule(
        "base-http-middleware",
        "it leaks the generators of streams whose client left and costs 32 us a token; write a pure ASGI class",
        _base_http_middleware,
    ),
    Rule(
        "broker-delay",
        "a delay in the broker is lost with the broker; set next_attempt_at on the job's row, the reconciler sends it",
        _broker_delay,
    ),
]
