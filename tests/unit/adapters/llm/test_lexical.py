import pytest

from app.adapters.llm.lexical import sentences, stem, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("He left! Was it 3.5? Yes.", ["He left!", "Was it 3.5?", "Yes."]),
        ("Dr. Smith met J. R. Tolkien of Acme Inc. in the U.S. in 1999. It rained.", ["Dr. Smith met J. R. Tolkien of Acme Inc. in the U.S. in 1999.", "It rained."]),
        ("See Fig. 3 and Sec. 4, e.g. Table 2. Then stop.", ["See Fig. 3 and Sec. 4, e.g. Table 2.", "Then stop."]),
        ("He said “no.” She went.", ["He said “no.”", "She went."]),
        ("One line\nwraps here. Next.", ["One line wraps here.", "Next."]),
        ("# Title\n\nText here.\n- one\n- two\n1. three", ["# Title", "Text here.", "- one", "- two", "1. three"]),
        ("他来了。他走了！好吗？", ["他来了。", "他走了！", "好吗？"]),
        ("यह है। वह है।", ["यह है।", "वह है।"]),
        ("", []),
        (" \n ", []),
    ],
)  # fmt: skip
def test_sentences(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_text_without_stops_is_cut_into_pieces_and_none_is_lost() -> None:
    text = " ".join(str(number) for number in range(1000))
    pieces = sentences(text)
    assert max(map(len, pieces)) <= 600
    assert " ".join(pieces) == text
    assert "".join(sentences("x" * 5000)) == "x" * 5000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Prices, PRICING!", ["pric", "pric"]),
        ("हिन्दी में", [stem("हिन्दी"), "में"]),
        ("黑豹队", ["黑豹", "豹队"]),
        ("東京 and Ｔokyo", ["東京", "and", "tokyo"]),
        ("ne\u0301e", ["née"]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected
