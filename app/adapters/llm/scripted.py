"""A model that says what it is told to: deterministic, without a network, for tests, demos and load trials."""

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence

from app.adapters.llm.base import ChatRequest, Finished, ModelEvent, TextDelta, Usage
from app.adapters.llm.errors import ModelCutOff, ModelError
from app.adapters.llm.rejections import error_of_status

Step = ModelEvent | float | ModelError
"""An event to say, seconds to wait, or an error to raise."""

_OPTION = re.compile(r"(ft|it|n|e|cut)(\d+)")


class ScriptedModel:
    """No language model: it plays a script, the same for every request, or what the model's name asks for.

    Without a script the name decides. ``ft50-it20-n200`` says 200 words, the first after 50 ms and one each 20 ms
    after it; ``e429`` fails with that HTTP status; ``cut3`` breaks off after 3 words. Any other name (``echo``) repeats
    the last question and cites every passage. ``requests`` holds the last 100 requests, for tests to look at.
    """

    provider = "scripted"

    def __init__(
        self, script: Sequence[Step] | None = None, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self.requests: deque[ChatRequest] = deque(maxlen=100)
        self._script = script
        self._sleep = sleep

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ModelEvent, None]:
        """Play the script; a Finished is added where it has none."""
        self.requests.append(request)
        for step in self._script if self._script is not None else _script_of_name(request):
            if isinstance(step, ModelError):
                raise step
            if isinstance(step, (float, int)):
                await self._sleep(step)
                continue
            yield step
            if isinstance(step, Finished):
                return
        yield Finished("stop")

    async def close(self) -> None:
        """Nothing to close."""


def _script_of_name(request: ChatRequest) -> Iterator[Step]:
    options = {name: int(value) for name, value in _OPTION.findall(request.model)}
    if status := options.get("e"):
        yield error_of_status("scripted", status, {}, b"")
    words = _counted(options["n"]) if "n" in options else _echo(request)
    yield options.get("ft", 0) / 1000
    for number, word in enumerate(words):
        if number == options.get("cut"):
            yield ModelCutOff("The answer was cut off, as the script wanted")
        if number and "it" in options:
            yield options["it"] / 1000
        yield TextDelta(word)
    yield Usage(input_tokens=sum(len(m.content.split()) for m in request.messages), output_tokens=len(words))


def _counted(count: int) -> list[str]:
    return [f"word{number} " for number in range(1, count + 1)]


def _echo(request: ChatRequest) -> list[str]:
    question = request.messages[-1].content if request.messages else ""
    markers = "".join(f" [{passage.number}]" for passage in request.passages)
    return re.findall(r"\S+\s*", f"You asked: {question}{markers}")
