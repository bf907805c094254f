"""The port to embedding models: texts in, unit vectors out."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]


class Embedder(Protocol):
    """One embedding model. ``name`` names the vector collection, so it changes whenever vectors would."""

    name: str
    dimension: int
    max_tokens: int

    async def embed_query(self, text: str) -> Vector:
        """The unit vector of a question, shape ``(dimension,)``."""
        ...

    async def embed_passages(self, texts: Sequence[str]) -> list[Vector]:
        """One unit vector per text, in order; a text longer than ``max_tokens`` is cut."""
        ...

    def count_tokens(self, text: str) -> int:
        """How many tokens of this model the text has, its special tokens left out."""
        ...

    def familiarity(self, text: str) -> float:
        """How well the model knows the language of the text, from 0 (not at all) to 1: how far to trust its vector."""
        ...

    async def close(self) -> None:
        """Release the model."""
        ...
