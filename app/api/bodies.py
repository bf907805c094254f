"""JSON bodies, read more strictly than Python reads them: one meaning, or a refusal."""

import json
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute


class StrictJsonRoute(APIRoute):
    """Refuses what parsers disagree on: a key given twice, NaN and infinities."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, which is given a request that reads strictly."""
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return strictly


class _StrictRequest(Request):
    async def json(self) -> Any:
        body = await self.body()
        try:
            text = body.decode()
        except UnicodeDecodeError as error:
            raise json.JSONDecodeError("Not UTF-8", "", error.start) from error
        return loads_strictly(text)


def loads_strictly(text: str) -> Any:
    """The value of a JSON text that has one meaning; raises json.JSONDecodeError."""
    try:
        return json.loads(text, object_pairs_hook=_without_repetition, parse_constant=_no_constant)
    except RecursionError as error:
        raise json.JSONDecodeError("Nested too deeply", "", 0) from error
    except json.JSONDecodeError:
        raise
    except ValueError as error:  # an integer of thousands of digits
        raise json.JSONDecodeError("Number too long", "", 0) from error


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise json.JSONDecodeError("A key is given twice", "", 0)
    return found


def _no_constant(name: str) -> NoReturn:
    raise json.JSONDecodeError(f"{name} is no number of JSON", "", 0)
