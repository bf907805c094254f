"""Words of any script, and the weights that passages and questions share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.adapters.vectors.lexical import encode_passage, encode_query, terms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't STOP-me_now 3.5", ["don", "t", "stop", "me", "now", "3", "5"]),
        ("हिन्दी डिफ़ेन्स ने", ["हिन्दी", "डिफ़ेन्स", "ने"]),
        ("黑豹队的", ["黑豹", "豹队", "队的"]),
        ("東京タワーabc北", ["東京", "京タ", "タワ", "ワー", "abc", "北"]),
        ("ภาษาไทย", ["ภา", "าษ", "ษา", "าไ", "ไท", "ทย"]),
        ("서울시", ["서울", "울시"]),
        ("soft\u00adhyphen zero\u200bwidth", ["softhyphen", "zerowidth"]),
        ("ﬁne ４２", ["fine", "42"]),
        ("🜁 … \x00", []),
    ],
)
def test_terms(text: str, expected: list[str]) -> None:
    assert list(terms(text)) == expected


@pytest.mark.parametrize(
    ("question", "passage"),
    [
        ("running fox", "The foxes ran; one runs"),
        ("cafe", "Un café"),
        ("Сколько очка", "много очков"),
        ("الكتاب", "كتاب"),
        ("防守", "黑豹队的防守丢了"),
        ("лига NFL 2015", "NFL лиги"),
    ],
)
def test_questions_and_passages_share_terms_though_inflected(question: str, passage: str) -> None:
    assert encode_query(question).keys() & encode_passage(passage).keys()


def test_english_stop_words_are_no_terms_and_unknown_scripts_are_kept() -> None:
    assert encode_query("the of and") == {}
    assert len(encode_query("שלום עולם")) == 2


@given(st.text(max_size=300))
def test_any_text_has_weights_that_the_engine_takes(text: str) -> None:
    for weights in (encode_passage(text), encode_query(text)):
        assert all(0 <= term < 2**32 and weight > 0 for term, weight in weights.items())
    assert encode_query(text).keys() == encode_passage(text).keys()
