"""Which models there are, by name: ``anthropic:claude-sonnet-4-6``, ``openai:gpt-4.1``, ``extractive``."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from app.adapters.llm.anthropic import AnthropicModel
from app.adapters.llm.base import ChatModel
from app.adapters.llm.extractive import ExtractiveModel
from app.adapters.llm.fallback import FallbackModel, RetryingModel, RetryPolicy
from app.adapters.llm.http import Deadlines, ModelHttp
from app.adapters.llm.openai import OPENAI_BASE_URL, OpenAIModel
from app.adapters.llm.scripted import ScriptedModel
from app.core.errors import Unprocessable

_PROVIDER_OF_BARE_NAME: Final = (
    (re.compile(r"claude-"), "anthropic"),
    (re.compile(r"(gpt-|chatgpt-|o\d)"), "openai"),
)


@dataclass(frozen=True, slots=True)
class CompatibleServer:
    """A server of one's own that speaks OpenAI's protocol; ``base_url`` includes ``/v1``."""

    base_url: str
    api_key: str | None = field(default=None, repr=False)


class ModelCatalog:
    """The configured providers, and what a model's name means among them."""

    def __init__(self, providers: Mapping[str, ChatModel]) -> None:
        self._providers = dict(providers)

    @property
    def providers(self) -> tuple[str, ...]:
        """Names of the configured providers."""
        return tuple(self._providers)

    def resolve(self, name: str) -> tuple[ChatModel, str]:
        """The provider of a model and the name the provider knows it by.

        ``provider:model`` is explicit (the rest may hold colons itself, as Ollama's names do). Bare names of Anthropic
        and OpenAI are recognised, and a provider's own bare name stands for its only model.
        Raises Unprocessable (``unknown_model``) for everything else, naming what is configured.
        """
        prefix, colon, rest = name.partition(":")
        if colon and rest and prefix in self._providers:
            return self._providers[prefix], rest
        if name in ("extractive", "scripted") and name in self._providers:
            return self._providers[name], name
        for pattern, provider in _PROVIDER_OF_BARE_NAME:
            if pattern.match(name) and provider in self._providers:
                return self._providers[provider], name
        known = ", ".join(sorted(self._providers))
        raise Unprocessable(
            f"No such model; name it as provider:model, where the configured providers are: {known}",
            code="unknown_model",
            param="model",
        )

    def with_fallbacks(self, name: str, fallbacks: Sequence[str] = ()) -> FallbackModel:
        """One answer's model: ``name``, then each of ``fallbacks``; make a new one for every answer."""
        return FallbackModel([self.resolve(choice) for choice in (name, *fallbacks)])

    async def close(self) -> None:
        """Close every provider."""
        for model in self._providers.values():
            await model.close()


def build_catalog(
    *,
    anthropic_api_key: str | None = None,
    anthropic_base_url: str = "https://api.anthropic.com",
    openai_api_key: str | None = None,
    openai_base_url: str = OPENAI_BASE_URL,
    compatible_servers: Mapping[str, CompatibleServer] | None = None,
    is_scripted_offered: bool = False,
    deadlines: Deadlines | None = None,
    retries: RetryPolicy | None = None,
) -> ModelCatalog:
    """Every provider over one connection pool, with retries; opens nothing yet.

    A provider without a key is listed too and says at use which variable to set. ``is_scripted_offered`` adds the
    scripted double, which a tenant could otherwise not reach.
    """
    http = ModelHttp(deadlines)
    vendors: list[ChatModel] = [
        AnthropicModel(http, api_key=anthropic_api_key, base_url=anthropic_base_url),
        OpenAIModel(http, api_key=openai_api_key, base_url=openai_base_url),
    ]
    for name, server in (compatible_servers or {}).items():
        vendors.append(OpenAIModel(http, api_key=server.api_key, base_url=server.base_url, provider=name))
    providers: dict[str, ChatModel] = {vendor.provider: RetryingModel(vendor, retries) for vendor in vendors}
    providers["extractive"] = ExtractiveModel()
    if is_scripted_offered:
        providers["scripted"] = ScriptedModel()
    return ModelCatalog(providers)
