"""What every vendor that streams over HTTP shares: bytes to events, one terminal event, failures in our terms."""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, Final

import orjson

from app.adapters.llm.base import Finished, ModelEvent, ReasoningDelta, TextDelta, Usage
from app.adapters.llm.errors import ModelCutOff, ModelError, ModelRejected, ModelUnavailable
from app.adapters.llm.http import EventStream, ModelHttp

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_HIGH_SURROGATES: Final = ("\ud800", "\udbff")


class EventDecoder(ABC):
    """A vendor's reading of its own events, one decoder an answer."""

    provider: str

    def __init__(self, provider: str) -> None:
        self.provider = provider
        self.reason: Finished | None = None
        self.is_done = False
        self.has_spoken = False
        self._out: list[ModelEvent] = []
        self._half = ""

    @abstractmethod
    def decode(self, data: bytes) -> None:
        """Emit what one event means; raises ModelError where it is an error or makes no sense."""

    def take(self) -> list[ModelEvent]:
        """What was emitted since the last time."""
        out, self._out = self._out, []
        return out

    def say(self, text: str) -> None:
        """Emit a piece of the answer; an empty one is nothing said."""
        if text:
            self._out.append(TextDelta(_checked(text)))
            self.has_spoken = True

    def reason_aloud(self, text: str) -> None:
        """Emit a piece of visible reasoning; an empty one is nothing said."""
        if text:
            self._out.append(ReasoningDelta(_checked(text)))
            self.has_spoken = True

    def account(self, usage: Usage) -> None:
        """Emit the tokens counted so far."""
        self._out.append(usage)

    def loads(self, data: bytes) -> Any:
        """The JSON of an event; half a surrogate pair, which strict parsers refuse, waits for its other half."""
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError:
            pass
        try:
            return json.loads(data, object_hook=self._mended)
        except (ValueError, RecursionError):
            raise ModelUnavailable(f"The model provider {self.provider} sent an event that is no JSON") from None

    def _mended(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {name: self._joined(value) if isinstance(value, str) else value for name, value in fields.items()}

    def _joined(self, text: str) -> str:
        if not _SURROGATE.search(text):
            return text
        text, self._half = self._half + text, ""
        if _HIGH_SURROGATES[0] <= text[-1] <= _HIGH_SURROGATES[1]:
            text, self._half = text[:-1], text[-1]
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _checked(text: object) -> str:
    if not isinstance(text, str):
        raise TypeError("what should be text is something else")
    return text


async def stream_answer(
    http: ModelHttp,
    decoder: EventDecoder,
    *,
    url: str,
    headers: Callable[[], Mapping[str, str]],
    body: Mapping[str, Any],
) -> AsyncGenerator[ModelEvent, None]:
    """Ask and yield what comes; exactly one Finished ends it, or a ModelError (ModelCutOff after something was said).

    Events are decoded a network read at a time, so that tokens that arrive together cost one wake-up together. A
    vendor that said why it stopped has finished, whatever happens to the connection afterwards.
    """
    stream = await http.open(url, provider=decoder.provider, headers=headers(), body=_encoded(body))
    failure: ModelError | None = None
    try:
        while not (decoder.is_done or failure):
            batch, failure = await _read(stream)
            if not batch:
                break
            failure = _decode(decoder, batch)
            stream.has_spoken = decoder.has_spoken
            for event in decoder.take():
                yield event
        if decoder.is_done:
            await stream.drain()
    finally:
        stream.close()
    yield _ending(decoder, failure)


async def _read(stream: EventStream) -> tuple[list[bytes], ModelError | None]:
    try:
        return await stream.read(), None
    except ModelError as error:
        return [], error


def _decode(decoder: EventDecoder, batch: list[bytes]) -> ModelError | None:
    """Decode in order; a failure is given back, not raised, so that what came before it is still told."""
    try:
        for data in batch:
            decoder.decode(data)
    except ModelError as error:
        return error
    except (KeyError, IndexError, TypeError, AttributeError):
        return ModelUnavailable(f"The model provider {decoder.provider} sent an event of an unknown shape")
    return None


def _ending(decoder: EventDecoder, failure: ModelError | None) -> Finished:
    if decoder.reason is not None:
        return decoder.reason
    if failure is None and decoder.is_done:
        return Finished("stop")
    failure = failure or ModelUnavailable(
        f"The model provider {decoder.provider} ended its answer before it was complete"
    )
    if decoder.has_spoken:
        raise ModelCutOff(f"The answer was cut off. {failure.message}", status=failure.status)
    raise failure


def _encoded(body: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError:
        raise ModelRejected(
            "The conversation holds text that is no valid Unicode; remove the lone surrogates"
        ) from None
