"""How often the extractive model answers when it should and keeps silent when it should, on SQuAD 1.1 dev."""

import json
import random
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.adapters.llm.base import Passage
from app.adapters.llm.extractive import THRESHOLD, select
from tests.shared_data import SHARED_DATA, requires_shared_data

pytestmark = [requires_shared_data, pytest.mark.shared_data]


@dataclass
class Figures:
    """Shares of the questions."""

    answered: float
    cites_gold_first: float
    speaks_up_wrongly: float


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _as_passages(paragraphs: list[dict[str, Any]]) -> list[Passage]:
    return [Passage(number, p["title"], p["text"]) for number, p in enumerate(paragraphs, 1)]


def _measure(questions: int) -> Figures:
    """The gold paragraph among 7 others of its own article, against 8 paragraphs of other articles."""
    assert SHARED_DATA is not None
    root = SHARED_DATA / "ir" / "squad11-dev"
    corpus = _lines(root / "corpus.jsonl")
    of_article = defaultdict(list)
    for paragraph in corpus:
        of_article[paragraph["title"]].append(paragraph)
    by_id = {paragraph["id"]: paragraph for paragraph in corpus}
    gold = dict(line.split()[:2] for line in (root / "qrels.tsv").read_text().splitlines())
    chance = random.Random(7)
    answered = right = wrong = 0
    for query in chance.sample(_lines(root / "queries.jsonl"), questions):
        home = by_id[gold[query["id"]]]
        others = [p for p in of_article[home["title"]] if p is not home]
        near = [home, *chance.sample(others, min(7, len(others)))]
        chance.shuffle(near)
        quotes = select(query["text"], _as_passages(near), THRESHOLD)
        answered += bool(quotes)
        right += bool(quotes) and quotes[0].number == near.index(home) + 1
        far = chance.sample([p for p in corpus if p["title"] != home["title"]], 8)
        wrong += bool(select(query["text"], _as_passages(far), THRESHOLD))
    return Figures(answered / questions, right / questions, wrong / questions)


def test_it_answers_mostly_and_speaks_up_wrongly_rarely() -> None:
    figures = _measure(300)
    assert figures.answered > 0.80, figures
    assert figures.cites_gold_first > 0.75, figures
    assert figures.speaks_up_wrongly < 0.02, figures
