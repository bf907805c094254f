"""A deterministic embedder without a model, for tests: texts that share words get vectors that are near."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from app.adapters.embeddings.base import Vector

_WORD: Final = re.compile(r"\w+")


class HashedEmbedder:
    """Feature hashing of words with signs (Weinberger et al., 2009). It knows no synonyms and every language alike."""

    def __init__(self, *, dimension: int = 64, max_tokens: int = 254) -> None:
        self.name = f"hashed-{dimension}"
        self.dimension = dimension
        self.max_tokens = max_tokens

    async def embed_query(self, text: str) -> Vector:
        """The unit vector of a text; a text without words has the first axis."""
        return self._embed(text)

    async def embed_passages(self, texts: Sequence[str]) -> list[Vector]:
        """One unit vector per text, in order."""
        return [self._embed(text) for text in texts]

    def count_tokens(self, text: str) -> int:
        """How many words the text has."""
        return sum(1 for _ in _words(text))

    def familiarity(self, text: str) -> float:
        """Always 1: a hash knows no language better than another."""
        del text
        return 1.0

    async def close(self) -> None:
        """Nothing to release."""

    def _embed(self, text: str) -> Vector:
        vector = np.zeros(self.dimension, dtype=np.float32)
        for word, _ in zip(_words(text), range(self.max_tokens), strict=False):
            digest = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest())
            vector[(digest >> 1) % self.dimension] += 1.0 if digest & 1 else -1.0
        norm = np.linalg.norm(vector)
        if norm == 0.0:
            vector[0] = norm = np.float32(1.0)
        unit: Vector = (vector / norm).astype(np.float32)
        return unit


def _words(text: str) -> Iterator[str]:
    return (match.group() for match in _WORD.finditer(text.lower()))
