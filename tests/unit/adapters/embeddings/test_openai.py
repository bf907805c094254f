"""An embedding server that answers well, badly, slowly or not at all."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from app.adapters.embeddings import build_embedder
from app.adapters.embeddings.errors import EmbeddingFailed
from app.adapters.embeddings.openai import OpenAIEmbedder

Answer = Callable[[dict[str, Any]], web.Response]


class Server:
    """Answers with the next answer given, the last one again and again; keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: list[Answer] = [well]
        self.bodies: list[dict[str, Any]] = []
        self.authorisations: list[str | None] = []

    async def embeddings(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.json())
        self.authorisations.append(request.headers.get("Authorization"))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer(self.bodies[-1])


def well(body: dict[str, Any]) -> web.Response:
    """Vectors that say how long their text was, out of order."""
    data = [{"index": n, "embedding": [float(len(text)), 0.0, 1.0]} for n, text in enumerate(body["input"])]
    return web.json_response({"data": data[::-1]})


def status(code: int, **headers: str) -> Answer:
    return lambda _body: web.json_response({"error": "secret prompt"}, status=code, headers=headers)


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, Callable[..., Awaitable[OpenAIEmbedder]]]]:
    state, opened = Server(), []
    app = web.Application()
    app.router.add_post("/v1/embeddings", state.embeddings)
    running = TestServer(app, host="127.0.0.1")
    await running.start_server()

    async def connect(**options: Any) -> OpenAIEmbedder:
        url = str(running.make_url("/v1"))
        arguments: dict[str, Any] = {"dimension": 3, "api_key": "k-1", "retry_delay": 0.001} | options
        opened.append(OpenAIEmbedder(base_url=url, model="m", **arguments))
        return opened[-1]

    yield state, connect
    for embedder in opened:
        await embedder.close()
    await running.close()


Fixture = tuple[Server, Callable[..., Awaitable[OpenAIEmbedder]]]


async def test_batches_come_back_in_order_at_unit_length(server: Fixture) -> None:
    state, connect = server
    embedder = await connect(batch_size=2)
    vectors = await embedder.embed_passages(["a", "bb", "ccc", "dddd", "eeeee"])
    assert [len(body["input"]) for body in state.bodies] == [2, 2, 1]
    for length, vector in enumerate(vectors, 1):
        np.testing.assert_allclose(vector, np.array([length, 0, 1]) / np.hypot(length, 1), rtol=1e-6)
    assert state.authorisations[0] == "Bearer k-1"
    assert "dimensions" not in state.bodies[0]


async def test_a_long_text_is_cut_and_an_empty_one_is_sent_as_a_space(server: Fixture) -> None:
    state, connect = server
    embedder = await connect(max_tokens=2, send_dimensions=True)
    await embedder.embed_passages(["aaaaaaaaaa", "ééééé", ""])
    assert state.bodies[0]["input"] == ["aaaaaa", "ééé", " "]
    assert state.bodies[0]["dimensions"] == 3
    assert embedder.count_tokens("aaaaaaa") == 3


@pytest.mark.parametrize("code", [429, 500, 503])
async def test_a_passing_failure_is_retried(server: Fixture, code: int) -> None:
    state, connect = server
    state.answers = [status(code, **{"Retry-After": "0"}), status(code), well]
    assert (await (await connect()).embed_query("a")).shape == (3,)
    assert len(state.bodies) == 3


@pytest.mark.parametrize(("code", "tries", "is_retryable"), [(503, 4, True), (400, 1, False), (401, 1, False)])
async def test_a_lasting_failure_is_typed_and_says_no_secret(
    server: Fixture, code: int, tries: int, *, is_retryable: bool
) -> None:
    state, connect = server
    state.answers = [status(code)]
    with pytest.raises(EmbeddingFailed) as failure:
        await (await connect()).embed_query("my text")
    assert (failure.value.status, failure.value.is_retryable) == (code, is_retryable)
    assert len(state.bodies) == tries
    assert not any(secret in failure.value.message for secret in ("k-1", "my text", "secret"))


@pytest.mark.parametrize(
    "content",
    [
        "no json",
        "{}",
        '{"data": []}',
        '{"data": [{"index": 0, "embedding": [1, 2]}]}',
        '{"data": [{"index": 0, "embedding": [0, 0, 0]}]}',
        '{"data": [{"index": 0, "embedding": [1, null, 0]}]}',
        '{"data": [{"index": 0, "embedding": "x"}]}',
    ],
)
async def test_an_answer_that_is_none_is_refused_at_once(server: Fixture, content: str) -> None:
    state, connect = server
    state.answers = [lambda _body: web.Response(text=content)]
    with pytest.raises(EmbeddingFailed):
        await (await connect()).embed_query("a")
    assert len(state.bodies) == 1


async def test_a_server_that_is_not_there_is_a_retryable_failure() -> None:
    embedder = OpenAIEmbedder(base_url="http://127.0.0.1:9", model="m", dimension=3, attempts=2, retry_delay=0.001)
    with pytest.raises(EmbeddingFailed, match="did not answer") as failure:
        await embedder.embed_query("a")
    assert failure.value.is_retryable
    await embedder.close()


async def test_the_factory_says_what_is_missing() -> None:
    with pytest.raises(ValueError, match="base_url"):
        await build_embedder("openai", model="m", dimension=3)
    assert (await build_embedder("openai", base_url="http://x/v1", model="m", dimension=3)).name == "m@3"
