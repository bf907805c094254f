"""Runs `insula up` and kills the process at one point: ``before|after <module>:<function> [<nth call>]``."""

import functools
import importlib
import inspect
import itertools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from app.cli import main


def arm(when: str, where: str, nth: int) -> None:
    """Put the kill in place of the function."""
    module_name, _, path = where.partition(":")
    owner = importlib.import_module(module_name)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    function = getattr(owner, name)
    numbers = itertools.count(1)
    wrap = _coroutine if inspect.iscoroutinefunction(function) else _function
    setattr(owner, name, wrap(function, lambda moment: moment == when, lambda: next(numbers) == nth))


def _coroutine(function: Any, is_moment: Callable[[str], bool], is_turn: Callable[[], bool]) -> Any:
    @functools.wraps(function)
    async def killed(*args: Any, **kwargs: Any) -> Any:
        if is_moment("before") and is_turn():
            die()
        result = await function(*args, **kwargs)
        if is_moment("after") and is_turn():
            die()
        return result

    return killed


def _function(function: Any, is_moment: Callable[[str], bool], is_turn: Callable[[], bool]) -> Any:
    @functools.wraps(function)
    def killed(*args: Any, **kwargs: Any) -> Any:
        if is_moment("before") and is_turn():
            die()
        result = function(*args, **kwargs)
        if is_moment("after") and is_turn():
            die()
        return result

    return killed


def die() -> None:
    """End the process as the kernel would."""
    os.kill(os.getpid(), signal.SIGKILL)


def run(point: str | None) -> None:
    """Serve, until the point is reached where one is given."""
    if point is not None:
        when, where, *nth = point.split()
        arm(when, where, int(nth[0]) if nth else 1)
    sys.argv = ["insula", "up"]
    main()
