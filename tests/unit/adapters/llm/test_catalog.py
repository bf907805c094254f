import pytest

from app.adapters.llm.base import ChatMessage, ChatModel, ChatRequest
from app.adapters.llm.catalog import CompatibleServer, ModelCatalog, build_catalog
from app.adapters.llm.errors import ModelBadCredentials
from app.adapters.llm.scripted import ScriptedModel
from app.core.errors import Unprocessable


@pytest.fixture
def catalog() -> ModelCatalog:
    servers = {"ollama": CompatibleServer("http://127.0.0.1:11434/v1", "ollama-key")}
    return build_catalog(compatible_servers=servers, is_scripted_offered=True)


@pytest.mark.parametrize(
    ("name", "provider", "model"),
    [
        ("anthropic:claude-sonnet-4-6", "anthropic", "claude-sonnet-4-6"),
        ("claude-sonnet-4-6", "anthropic", "claude-sonnet-4-6"),
        ("openai:gpt-4.1", "openai", "gpt-4.1"),
        ("gpt-4.1-mini", "openai", "gpt-4.1-mini"),
        ("o3-mini", "openai", "o3-mini"),
        ("openai:ft:gpt-4.1:acme::id", "openai", "ft:gpt-4.1:acme::id"),
        ("ollama:llama3:8b", "ollama", "llama3:8b"),
        ("extractive", "extractive", "extractive"),
        ("scripted", "scripted", "scripted"),
        ("scripted:n5", "scripted", "n5"),
    ],
)
def test_names(catalog: ModelCatalog, name: str, provider: str, model: str) -> None:
    found, its_name = catalog.resolve(name)
    assert (found.provider, its_name) == (provider, model)


@pytest.mark.parametrize("name", ["", "llama3:8b", "anthropic", "anthropic:", "orca", "mistral-large", ":x", "ollama"])
def test_an_unknown_name_says_what_is_configured(catalog: ModelCatalog, name: str) -> None:
    with pytest.raises(Unprocessable) as caught:
        catalog.resolve(name)
    assert (caught.value.code, caught.value.param) == ("unknown_model", "model")
    assert "anthropic, extractive, ollama, openai, scripted" in caught.value.message


def test_the_double_is_not_offered_by_itself() -> None:
    with pytest.raises(Unprocessable):
        build_catalog().resolve("scripted")


@pytest.mark.parametrize(("name", "variable"), [("claude-x", "ANTHROPIC_API_KEY"), ("gpt-x", "OPENAI_API_KEY")])
async def test_a_provider_without_a_key_says_which_variable_to_set(name: str, variable: str) -> None:
    model, its_name = build_catalog().resolve(name)
    with pytest.raises(ModelBadCredentials, match=variable):
        _ = [event async for event in model.stream(ChatRequest(its_name, [ChatMessage("user", "x")]))]


async def test_fallbacks_are_resolved_in_order_and_all_are_closed() -> None:
    closed: list[str] = []

    class Closing(ScriptedModel):
        async def close(self) -> None:
            closed.append(self.provider)

    providers: dict[str, ChatModel] = {"scripted": Closing(), "other": Closing()}
    catalog = ModelCatalog(providers)
    model = catalog.with_fallbacks("scripted:e503", ["other:n1"])
    events = [event async for event in model.stream(ChatRequest("", [ChatMessage("user", "x")]))]
    assert model.answered_by == ("scripted", "n1")
    assert len(events) == 3
    await catalog.close()
    assert len(closed) == 2


@pytest.mark.parametrize("key", ["sk-\nsecret", "sk-sécret", "sk secret\x00", " \n"])
def test_a_key_that_no_header_takes_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(ValueError, match="API key") as caught:
        build_catalog(anthropic_api_key=key)
    assert "secret" not in str(caught.value)


def test_a_server_never_shows_its_key() -> None:
    assert "hidden" not in repr(CompatibleServer("http://x/v1", "hidden"))
