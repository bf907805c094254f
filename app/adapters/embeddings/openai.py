"""Any server with an OpenAI-compatible ``/embeddings``: batched, retried while it may help, and checked."""

import asyncio
import math
import random
import weakref
from collections.abc import Sequence
from typing import Any, Final

import aiohttp
import numpy as np
import orjson

from app.adapters.embeddings.base import Vector
from app.adapters.embeddings.errors import EmbeddingFailed

_RETRYABLE_STATUSES: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_LONGEST_WAIT: Final = 20.0
#: UTF-8 bytes of a token, on the safe side: English has four, Chinese and code about three.
_BYTES_PER_TOKEN: Final = 3
_UNAUTHORISED: Final = frozenset({401, 403})


class OpenAIEmbedder:
    """A model behind an endpoint. It opens connections when first used, a pool for each event loop that uses it."""

    def __init__(
        self,
        *,
        base_url: str,
        model: str,
        dimension: int,
        api_key: str | None = None,
        max_tokens: int = 8191,
        batch_size: int = 128,
        attempts: int = 4,
        timeout_seconds: float = 30.0,
        retry_delay: float = 0.5,
        send_dimensions: bool = False,
    ) -> None:
        """``base_url`` ends before ``/embeddings``; ``send_dimensions`` asks models that can for shorter vectors."""
        self.name = f"{model}@{dimension}"
        self.dimension = dimension
        self.max_tokens = max_tokens
        self._url = f"{base_url.rstrip('/')}/embeddings"
        self._headers = {"Content-Type": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._options: dict[str, Any] = {"model": model, "encoding_format": "float"}
        if send_dimensions:
            self._options["dimensions"] = dimension
        self._batch_size = batch_size
        self._attempts = attempts
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._retry_delay = retry_delay
        self._sessions: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, aiohttp.ClientSession]
        self._sessions = weakref.WeakKeyDictionary()

    async def embed_query(self, text: str) -> Vector:
        """The unit vector of a question. Raises EmbeddingFailed after the last attempt."""
        return (await self._embed([text]))[0]

    async def embed_passages(self, texts: Sequence[str]) -> list[Vector]:
        """One unit vector per text, in order. Raises EmbeddingFailed after the last attempt of a batch."""
        vectors: list[Vector] = []
        for first in range(0, len(texts), self._batch_size):
            vectors += await self._embed(texts[first : first + self._batch_size])
        return vectors

    def count_tokens(self, text: str) -> int:
        """An estimate that is rather too high: the server alone knows its tokenizer."""
        return math.ceil(len(text.encode()) / _BYTES_PER_TOKEN)

    def familiarity(self, text: str) -> float:
        """Always 1: models of this kind are taken to know many languages."""
        del text
        return 1.0

    async def close(self) -> None:
        """Close this event loop's connections, and those of other loops through these."""
        for loop, session in list(self._sessions.items()):
            if loop is asyncio.get_running_loop():
                await session.close()
            elif loop.is_running():
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(session.close(), loop))
        self._sessions.clear()

    async def _embed(self, texts: Sequence[str]) -> list[Vector]:
        body = orjson.dumps({**self._options, "input": [self._cut(text) for text in texts]})
        for attempt in range(1, self._attempts + 1):
            try:
                return self._vectors(await self._post(body), len(texts))
            except EmbeddingFailed as failure:
                if not failure.is_retryable or attempt == self._attempts:
                    raise
                await asyncio.sleep(self._wait(attempt, failure))
        raise AssertionError("the loop returns or raises")

    async def _post(self, body: bytes) -> bytes:
        try:
            async with self._session().post(self._url, data=body) as response:
                content = await response.read()
                if response.status != 200:  # noqa: PLR2004 the one status that carries vectors
                    raise _refusal(response.status, response.headers.get("Retry-After"))
                return content
        except (aiohttp.ClientError, TimeoutError) as error:
            raise EmbeddingFailed("the embedding server did not answer", is_retryable=True) from error

    def _session(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is None or session.closed:
            session = aiohttp.ClientSession(headers=self._headers, timeout=self._timeout)
            self._sessions[loop] = session
        return session

    def _vectors(self, content: bytes, expected: int) -> list[Vector]:
        """The answer's vectors in the order of the question, at unit length."""
        try:
            items = sorted(orjson.loads(content)["data"], key=lambda item: int(item["index"]))
            matrix = np.array([item["embedding"] for item in items], dtype=np.float32)
        except (ValueError, KeyError, TypeError) as error:
            raise EmbeddingFailed("the embedding server's answer is not one", is_retryable=False) from error
        if matrix.shape != (expected, self.dimension):
            raise EmbeddingFailed(
                f"the embedding server gave vectors of shape {matrix.shape}, not {(expected, self.dimension)}",
                is_retryable=False,
            )
        norms = np.linalg.norm(matrix, axis=1, keepdims=True)
        if not np.all(np.isfinite(norms)) or not np.all(norms > 0):
            raise EmbeddingFailed("the embedding server gave a vector without direction", is_retryable=False)
        return list(matrix / norms)

    def _cut(self, text: str) -> str:
        return text.encode()[: self.max_tokens * _BYTES_PER_TOKEN].decode(errors="ignore") or " "

    def _wait(self, attempt: int, failure: EmbeddingFailed) -> float:
        """What the server asked for, else exponential with full jitter, in seconds."""
        if failure.retry_after is not None:
            return min(failure.retry_after, _LONGEST_WAIT)
        return random.uniform(0, min(self._retry_delay * 2**attempt, _LONGEST_WAIT))  # noqa: S311 jitter, no secret


def _refusal(status: int, retry_after: str | None) -> EmbeddingFailed:
    if status in _UNAUTHORISED:
        return EmbeddingFailed("the embedding server refused our key", is_retryable=False, status=status)
    return EmbeddingFailed(
        f"the embedding server answered {status}",
        is_retryable=status in _RETRYABLE_STATUSES,
        status=status,
        retry_after=float(retry_after) if retry_after and retry_after.isdigit() else None,
    )
