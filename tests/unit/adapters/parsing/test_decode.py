"""Text of undeclared encodings comes out right, and normalised text is safe for a database."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.adapters.parsing.decode import decode
from app.adapters.parsing.normalise import normalise, tidy

SPANISH = "El niño comió una piña en la montaña; después, cantó el himno español. ¿Qué más?"
RUSSIAN = "Компания продолжала торговать до Второй мировой войны, несмотря на трудности."


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_spanish_is_decoded(encoding: str) -> None:
    assert decode((SPANISH * 3).encode(encoding)) == SPANISH * 3


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "cp1251", "koi8-r"])
def test_russian_is_decoded(encoding: str) -> None:
    assert decode((RUSSIAN * 3).encode(encoding)) == RUSSIAN * 3


def test_a_few_broken_bytes_do_not_spoil_utf8() -> None:
    broken = (RUSSIAN * 5).encode()[:-1] + b"\xff end"
    assert decode(broken).startswith(RUSSIAN * 4)


def test_a_declared_encoding_is_believed_where_it_is_not_utf8() -> None:
    assert decode(b"cena \xa3 5", "cp1250") == "cena Ł 5"


@given(st.binary(max_size=300))
def test_decoding_never_fails_and_normalised_text_fits_a_database(data: bytes) -> None:
    text = tidy(decode(data))
    assert "\0" not in text
    assert "\r" not in text
    text.encode("utf-8")


@given(st.text(st.characters(codec=None), max_size=80))
def test_normalising_is_idempotent(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)
    assert tidy(tidy(text)) == tidy(text)


def test_normalised_text_is_nfc_with_line_feeds_and_whole_surrogates() -> None:
    assert normalise("e\u0301\r\nb\rc\u2028d\0\x07\ud83d\ude00\ud800") == "é\nb\nc\nd😀\ufffd"
    assert tidy("a  \n\n\n\n b\t\n") == "a\n\n b"
