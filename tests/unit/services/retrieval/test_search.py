"""The retriever, where the parts that it asks do not answer."""

from collections.abc import Mapping, Sequence

import pytest

from app.adapters.embeddings.errors import EmbeddingFailed
from app.adapters.embeddings.hashed import HashedEmbedder
from app.adapters.vectors.errors import VectorStoreFailed
from app.adapters.vectors.memory import InMemoryVectorStore
from app.core.errors import Overloaded
from app.core.tenancy import TenantContext
from app.services.retrieval.passages import FoundPassage
from app.services.retrieval.search import Retriever, SearchQuery

CONTEXT = TenantContext.for_job("tnt_" + "0" * 26, "job_" + "0" * 26)


class DownStore(InMemoryVectorStore):
    """A store that cannot be reached."""

    def for_tenant(self, context: TenantContext) -> "DownStore":  # type: ignore[override]
        del context
        return self

    async def search(self, query: object) -> list[object]:
        del query
        raise VectorStoreFailed("down")


class DownEmbedder(HashedEmbedder):
    """A model that does not answer."""

    async def embed_query(self, text: str) -> object:  # type: ignore[override]
        del text
        raise EmbeddingFailed("down", is_retryable=True)


async def _nothing(_: TenantContext, __: Sequence[str]) -> Mapping[str, FoundPassage]:
    return {}


@pytest.mark.parametrize(
    "retriever",
    [
        Retriever(HashedEmbedder(), DownStore(), _nothing),  # type: ignore[arg-type]
        Retriever(DownEmbedder(), InMemoryVectorStore(), _nothing),  # type: ignore[arg-type]
    ],
    ids=["store", "model"],
)
async def test_a_part_that_is_down_is_an_overload_that_says_when_to_ask_again(retriever: Retriever) -> None:
    with pytest.raises(Overloaded) as refusal:
        await retriever.search(CONTEXT, SearchQuery(text="anything"))
    assert refusal.value.code == "search_unavailable"
    assert refusal.value.retry_after
