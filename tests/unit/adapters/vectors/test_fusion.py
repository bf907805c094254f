"""What a fused ranking owes to words and to meaning."""

from uuid import UUID

from app.adapters.vectors.fusion import combine

A, B, C = (UUID(int=n) for n in (1, 2, 3))


def test_scores_are_shares_of_the_best_and_add_up() -> None:
    assert combine([(A, 8.0), (B, 2.0)], [(B, 0.5), (C, 0.4)], 1.0) == [(B, 1.25), (A, 1.0), (C, 0.8)]


def test_a_distrusted_vector_only_decides_between_equals() -> None:
    ranked = combine([(A, 4.0), (B, 4.0)], [(C, 0.9), (B, 0.8)], 0.0)
    assert [identifier for identifier, _ in ranked] == [B, A, C]


def test_one_side_may_be_empty_or_useless() -> None:
    assert [identifier for identifier, _ in combine([], [(B, 0.2), (A, 0.1)], 0.0)] == [B, A]
    assert combine([(A, 3.0)], [(B, -0.2)], 1.0) == [(A, 1.0)]
    assert combine([], [], 1.0) == []


def test_equals_are_ordered_by_id_so_that_answers_repeat() -> None:
    assert [identifier for identifier, _ in combine([(C, 1.0), (A, 1.0), (B, 1.0)], [], 1.0)] == [A, B, C]
