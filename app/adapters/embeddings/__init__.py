"""Texts to vectors: the port, its adapters, and the door that chooses one."""

from typing import Literal

from app.adapters.embeddings.base import Embedder

EmbeddingBackend = Literal["local", "openai", "hashed"]


async def build_embedder(
    backend: EmbeddingBackend,
    *,
    threads: int = 1,
    base_url: str | None = None,
    model: str | None = None,
    dimension: int | None = None,
    api_key: str | None = None,
) -> Embedder:
    """The embedder that is asked for; vendor libraries are imported only for the backend that needs them.

    ``threads`` is for ``local``; ``base_url``, ``model`` and ``dimension`` are needed for ``openai``. Raises ValueError
    where one is missing, ModelCorrupt where the local model is not the pinned one.
    """
    if backend == "local":
        from app.adapters.embeddings.local import LocalEmbedder  # noqa: PLC0415

        return await LocalEmbedder.open(threads=threads)
    if backend == "hashed":
        from app.adapters.embeddings.hashed import HashedEmbedder  # noqa: PLC0415

        return HashedEmbedder(dimension=dimension or 64)
    if base_url is None or model is None or dimension is None:
        raise ValueError("an OpenAI-compatible embedder needs a base_url, a model and a dimension")
    from app.adapters.embeddings.openai import OpenAIEmbedder  # noqa: PLC0415

    return OpenAIEmbedder(base_url=base_url, model=model, dimension=dimension, api_key=api_key)
