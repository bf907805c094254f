"""CPU per streamed token of a chat-model adapter: many paced streams of one upstream, consumed in one process.

    python benchmarks/llm_upstream.py http://127.0.0.1:9100 --provider anthropic --model fake-ft50-it20-n200 -c 50

The upstream is any server that speaks the vendor's protocol and ignores the key. ``--wrapped`` adds the wrappers
that production puts around a model.
"""

import argparse
import asyncio
import random
import time
from collections.abc import Sequence

import uvloop

from app.adapters.llm.anthropic import AnthropicModel
from app.adapters.llm.base import ChatMessage, ChatModel, ChatRequest, TextDelta
from app.adapters.llm.fallback import FallbackModel, RetryingModel
from app.adapters.llm.http import ModelHttp
from app.adapters.llm.openai import OpenAIModel


async def consume(model: ChatModel, request: ChatRequest, firsts: list[float]) -> int:
    """Read one answer, from a random moment of a tick so that streams do not wake up together; gives its tokens."""
    await asyncio.sleep(random.uniform(0, 0.5))
    tokens, began = 0, time.perf_counter()
    async for event in model.stream(request):
        if type(event) is TextDelta:
            if not tokens:
                firsts.append(time.perf_counter() - began)
            tokens += 1
    return tokens


async def measure(model: ChatModel, request: ChatRequest, concurrency: int) -> None:
    """Warm the pool, then print tokens, CPU per token and the median time to the first token."""
    await asyncio.gather(*(consume(model, request, []) for _ in range(concurrency)))
    firsts: list[float] = []
    cpu, wall = time.process_time(), time.perf_counter()
    counts: Sequence[int] = await asyncio.gather(*(consume(model, request, firsts) for _ in range(concurrency)))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    first = sorted(firsts)[len(firsts) // 2]
    print(
        f"{sum(counts)} tokens in {wall:.2f} s: {1e6 * cpu / sum(counts):.1f} us CPU a token, first {1e3 * first:.1f} ms"
    )


async def main(arguments: argparse.Namespace) -> None:
    """Build the model that was asked for and measure it."""
    http = ModelHttp()
    model: ChatModel = (
        AnthropicModel(http, api_key="benchmark", base_url=arguments.upstream)
        if arguments.provider == "anthropic"
        else OpenAIModel(http, base_url=f"{arguments.upstream}/v1")
    )
    if arguments.wrapped:
        model = FallbackModel([(RetryingModel(model), arguments.model)])
    request = ChatRequest(model=arguments.model, messages=[ChatMessage("user", "hello")])
    try:
        for _ in range(arguments.rounds):
            await measure(model, request, arguments.concurrency)
    finally:
        await http.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("upstream")
    parser.add_argument("--provider", choices=["anthropic", "openai"], default="anthropic")
    parser.add_argument("--model", default="fake-ft50-it20-n200")
    parser.add_argument("-c", "--concurrency", type=int, default=50)
    parser.add_argument("--wrapped", action="store_true")
    parser.add_argument("--rounds", type=int, default=2)
    uvloop.run(main(parser.parse_args()))
