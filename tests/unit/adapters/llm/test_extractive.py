import time

import pytest

from app.adapters.llm.base import ChatMessage, ChatRequest, Finished, Passage, TextDelta, Usage
from app.adapters.llm.extractive import NO_ANSWER, NO_PASSAGES, ExtractiveModel

MOON = Passage(
    2,
    "Moon",
    "The Moon orbits the Earth. Its average distance from Earth is 384,400 km. Dr. Armstrong walked on it in 1969.",
)
TEA = Passage(5, "Tea", "Tea is brewed from leaves. Green tea is not fermented. Water of 80 degrees suits it best.")


async def answer(question: str, *passages: Passage) -> str:
    request = ChatRequest("extractive", [ChatMessage("user", question)], passages=passages)
    events = [event async for event in ExtractiveModel().stream(request)]
    assert isinstance(events[-2], Usage)
    assert events[-1] == Finished("stop")
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What is the average distance of the Moon?", "Its average distance from Earth is 384,400 km. [2]"),
        ("How hot should the water for tea be, in degrees?", "Water of 80 degrees suits it best. [5]"),
        ("When did Armstrong walk on the Moon?", "Dr. Armstrong walked on it in 1969. [2]"),
    ],
)
async def test_it_quotes_the_sentence_that_answers_and_cites_its_passage(question: str, expected: str) -> None:
    said = await answer(question, TEA, MOON)
    assert said.startswith(expected)
    for quote in said.replace("[2]", "\n").replace("[5]", "\n").split("\n"):
        assert quote.strip() in MOON.text + TEA.text


async def test_it_says_plainly_that_nothing_fits_and_cites_nothing() -> None:
    assert await answer("Who won the chess tournament of Wijk aan Zee?", MOON, TEA) == NO_ANSWER
    assert await answer("???", MOON) == NO_ANSWER
    assert await answer("", MOON) == NO_ANSWER


async def test_it_says_plainly_that_there_is_nothing_to_quote() -> None:
    assert await answer("How far is the Moon?") == NO_PASSAGES


async def test_the_last_user_message_is_the_question() -> None:
    turns = [
        ChatMessage("user", "How is tea brewed?"),
        ChatMessage("assistant", "From leaves."),
        ChatMessage("user", "And the average distance of the Moon from Earth?"),
    ]
    request = ChatRequest("extractive", turns, passages=(TEA, MOON))
    said = "".join([event.text async for event in ExtractiveModel().stream(request) if isinstance(event, TextDelta)])
    assert "384,400" in said
    assert "[5]" not in said


@pytest.mark.parametrize(
    ("question", "text", "expected"),
    [
        ("黑豹队的防守丢了多少分？", "球队成立于1995年。黑豹队的防守只丢了 308分。天气很好。", "黑豹队的防守只丢了 308分。 [1]"),
        ("पैंथर्स डिफ़ेंस ने कितने अंक दिए?", "मौसम अच्छा है। पैंथर्स की डिफ़ेंस ने 308 अंक दिए। वह घर है।", "पैंथर्स की डिफ़ेंस ने 308 अंक दिए। [1]"),
        ("Когда основан университет?", "Погода хорошая. Университет был основан в 1755 году. Да.", "Университет был основан в 1755 году. [1]"),
    ],
)  # fmt: skip
async def test_other_scripts(question: str, text: str, expected: str) -> None:
    assert await answer(question, Passage(1, "", text)) == expected


async def test_a_quote_is_given_once_and_at_most_three_are_given() -> None:
    same = [Passage(number, "Moon", MOON.text) for number in range(1, 7)]
    said = await answer("What is the average distance of the Moon from the Earth that Armstrong walked?", *same)
    assert said.count("384,400") == 1
    assert 1 <= said.count("[") <= 3


async def test_eight_long_passages_take_milliseconds() -> None:
    text = " ".join(f"Sentence {i} tells that the river number {i} is {i} kilometres long." for i in range(25))
    passages = [Passage(number, "Rivers", text) for number in range(1, 9)]
    began = time.process_time()
    for _ in range(5):
        await answer("How long is the river number 7?", *passages)
    assert (time.process_time() - began) / 5 < 0.1
