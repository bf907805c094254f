"""Ids: UUIDv7 behind a prefix, in the order in which they were made."""

import time
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.ids import chunk_uuid, id_of_uuid, is_id, new_id, uuid_of_id


def test_an_id_is_a_uuid_of_version_7_of_now() -> None:
    before = time.time_ns() // 1_000_000
    identifier = new_id("doc")
    value = uuid_of_id(identifier)
    assert identifier.startswith("doc_")
    assert len(identifier) == 30
    assert (value.int >> 76 & 0xF, value.int >> 62 & 0b11) == (7, 0b10)
    assert before - 1 <= value.int >> 80 <= time.time_ns() // 1_000_000 + 1


def test_ids_of_one_thread_sort_as_they_were_made() -> None:
    made = [new_id("msg") for _ in range(20_000)]
    assert made == sorted(set(made))


def test_ids_of_many_threads_are_distinct_and_sort_within_each() -> None:
    def make(_: int) -> list[str]:
        return [new_id("run") for _ in range(2_000)]

    with ThreadPoolExecutor(8) as pool:
        batches = list(pool.map(make, range(8)))
    assert all(batch == sorted(batch) for batch in batches)
    assert len({identifier for batch in batches for identifier in batch}) == 16_000


def test_ids_still_sort_when_the_clock_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    first = new_id("doc")
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert first < new_id("doc") < new_id("doc")


@given(st.uuids())
def test_a_uuid_survives_the_way_there_and_back(value: UUID) -> None:
    assert uuid_of_id(id_of_uuid("chk", value)) == value
    assert is_id(id_of_uuid("chk", value))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "doc_",
        "doc",
        "doc_0",
        f"doc_{'u' * 26}",
        f"doc_{'0' * 27}",
        f"DOC_{'0' * 26}",
        f"doc_{'0' * 26}\n",
        "../doc_",
    ],
)
def test_what_is_no_id_is_refused(text: str) -> None:
    assert not is_id(text)
    with pytest.raises(ValueError, match="not an id"):
        uuid_of_id(text)


def test_a_chunk_keeps_its_name_when_work_is_redone_and_shares_it_with_no_other() -> None:
    one = chunk_uuid("tnt_a", "doc_a", 1, 0)
    assert one == chunk_uuid("tnt_a", "doc_a", 1, 0)
    others = {
        chunk_uuid("tnt_b", "doc_a", 1, 0),
        chunk_uuid("tnt_a", "doc_b", 1, 0),
        chunk_uuid("tnt_a", "doc_a", 2, 0),
        chunk_uuid("tnt_a", "doc_a", 1, 1),
    }
    assert len(others | {one, uuid4()}) == 6
