"""Two rankings into one: a convex combination of normalised scores."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

Ranking = Sequence[tuple[UUID, float]]

#: A vector that is not trusted still decides between equals, and answers where no word of the question was found.
_LEAST_DENSE_WEIGHT: Final = 1e-3


def combine(sparse: Ranking, dense: Ranking, dense_weight: float) -> list[tuple[UUID, float]]:
    """Both rankings as one, best first: each score as a share of its ranking's best, the dense ones times a weight.

    Zero is the least that BM25 gives and the cosine of the unrelated, so scores are divided by the maximum alone
    ("theoretical min-max"): Bruch, Gai and Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval", 2023. Ranks
    forget how clearly a question's words were found: on four English collections reciprocal rank fusion (k 10 and 60,
    three weights) was either below words alone on SQuAD or a tenth lower on DBpedia; this had the best mean, .698 to
    .689 (``benchmarks/retrieval_quality.py`` has the figures of today). Ties break by id, so that answers repeat.
    """
    scores: dict[UUID, float] = {}
    for ranking, weight in ((sparse, 1.0), (dense, max(dense_weight, _LEAST_DENSE_WEIGHT))):
        best = max((score for _, score in ranking), default=0.0)
        if best > 0.0:
            for identifier, score in ranking:
                scores[identifier] = scores.get(identifier, 0.0) + weight * max(score, 0.0) / best
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))
