"""Follow-up questions: "and for children?" is looked up together with what was asked before it."""

from collections import defaultdict
from collections.abc import Sequence

from app.adapters.llm.base import ChatMessage
from app.adapters.llm.lexical import words
from app.services.retrieval.passages import FoundPassage

#: A question of fewer index terms may lean on the one before it ("How long is the warranty of a frame?" has 8).
_SELF_CONTAINED_TERMS = 8
_LONGEST_CONTEXT = 1000
_LONGEST_QUESTION = 4000
#: Damps how much the first ranks count: Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion", SIGIR 2009.
_RANK_CONSTANT = 60


def queries_of(turns: Sequence[ChatMessage]) -> list[str]:
    """What to look up for the last of the turns: where it is short, it behind the question before it, and itself.

    Both, since a short question may as well open a new subject; nothing is rewritten, so no model has to be asked.
    """
    questions = [core_of(turn.content) for turn in turns if turn.role == "user"]
    last, before = questions[-1], questions[-2:-1]
    if not before or len(words(last)) >= _SELF_CONTAINED_TERMS:
        return [last]
    return [f"{before[0][-_LONGEST_CONTEXT:]}\n{last}", last]


def core_of(question: str) -> str:
    """The ends of a long message, where its question stands; what is pasted between them would cost and blur a search."""
    if len(question) <= _LONGEST_QUESTION:
        return question
    return f"{question[: _LONGEST_QUESTION // 2]}\n{question[-_LONGEST_QUESTION // 2 :]}"


def merged(rankings: Sequence[Sequence[FoundPassage]], limit: int) -> list[FoundPassage]:
    """The best passages of several rankings, by reciprocal ranks; at a tie the earlier ranking's."""
    scores: defaultdict[str, float] = defaultdict(float)
    passages: dict[str, FoundPassage] = {}
    for ranking in rankings:
        for rank, passage in enumerate(ranking, start=1):
            scores[passage.chunk_id] += 1 / (_RANK_CONSTANT + rank)
            passages[passage.chunk_id] = passage
    return [passages[chunk_id] for chunk_id in sorted(scores, key=lambda key: -scores[key])][:limit]
