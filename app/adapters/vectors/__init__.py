"""Where chunks are found by meaning and by words: the port, its adapters, and the door that chooses one."""

from pathlib import Path
from typing import Literal

from app.adapters.vectors.base import VectorStore

VectorBackend = Literal["embedded", "memory"]


async def build_vector_store(
    backend: VectorBackend, *, embedder_name: str, dimension: int, directory: Path | None = None
) -> VectorStore:
    """Open the store of one embedding model; vendor libraries are imported only for the backend that needs them.

    ``directory`` is where the embedded store lies. Raises ValueError where it is missing, and what the backend raises.
    """
    if backend == "memory":
        from app.adapters.vectors.memory import InMemoryVectorStore  # noqa: PLC0415

        return InMemoryVectorStore()
    if directory is None:
        raise ValueError("the embedded vector store needs a directory")
    from app.adapters.vectors.embedded import EmbeddedVectorStore  # noqa: PLC0415

    return await EmbeddedVectorStore.open(directory, embedder_name=embedder_name, dimension=dimension)
