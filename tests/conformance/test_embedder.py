"""What every embedder promises, whichever model is behind it."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from app.adapters.embeddings import EmbeddingBackend, build_embedder
from app.adapters.embeddings.base import Embedder

SENTENCES = ["The cat sat on the mat.", "Quarterly revenue rose by 3 %.", "", "जेरेड एलन के पास", "🜁", "a" * 5000]


@pytest.fixture(params=["local", "hashed"])
async def embedder(request: pytest.FixtureRequest) -> AsyncIterator[Embedder]:
    backend: EmbeddingBackend = request.param
    embedder = await build_embedder(backend, threads=2)
    yield embedder
    await embedder.close()


async def test_vectors_are_unit_float32_of_the_stated_dimension(embedder: Embedder) -> None:
    for vector in [*await embedder.embed_passages(SENTENCES), await embedder.embed_query(SENTENCES[0])]:
        assert vector.shape == (embedder.dimension,)
        assert vector.dtype == np.float32
        assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)


async def test_passages_come_in_order_and_do_not_depend_on_their_neighbours(embedder: Embedder) -> None:
    together = await embedder.embed_passages(SENTENCES)
    for sentence, vector in zip(SENTENCES, together, strict=True):
        np.testing.assert_allclose(vector, (await embedder.embed_passages([sentence]))[0], atol=1e-5)
    assert await embedder.embed_passages([]) == []


async def test_texts_that_share_words_are_nearer(embedder: Embedder) -> None:
    question = await embedder.embed_query("where did the cat sit on the mat")
    near, far = await embedder.embed_passages(SENTENCES[:2])
    assert question @ near > question @ far


async def test_tokens_are_counted_and_longer_texts_are_cut_there(embedder: Embedder) -> None:
    assert embedder.count_tokens("") == 0
    assert embedder.count_tokens("cat dog") == 2
    at_limit = "cat " * embedder.max_tokens
    assert embedder.count_tokens(at_limit) == embedder.max_tokens
    cut, longer, shorter = await embedder.embed_passages([at_limit, at_limit + "dog " * 50, at_limit[:-4] + "dog"])
    np.testing.assert_allclose(cut, longer, atol=1e-6)
    assert not np.allclose(cut, shorter, atol=1e-6)


async def test_familiarity_is_a_share(embedder: Embedder) -> None:
    for sentence in SENTENCES:
        assert 0.0 <= embedder.familiarity(sentence) <= 1.0
    assert embedder.familiarity("How many points did the defense surrender?") == 1.0


async def test_several_event_loops_may_use_one_embedder(embedder: Embedder) -> None:
    here = await embedder.embed_passages(SENTENCES)
    there = await asyncio.gather(
        *(asyncio.to_thread(lambda: asyncio.run(_embed(embedder))) for _ in range(3)),
        embedder.embed_passages(SENTENCES),
    )
    for vectors in there:
        np.testing.assert_allclose(np.stack(vectors), np.stack(here), atol=1e-5)


async def _embed(embedder: Embedder) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    return await embedder.embed_passages(SENTENCES)
