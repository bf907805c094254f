"""Settings: where they come from, which name wins, and what is refused."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.core.config import Settings

STRONG = "correct-horse-battery-staple-0123456789"
OTHER = "another-long-and-varied-secret-9876543210"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in list(os.environ):
        if variable.startswith(("INSULA_", "ANTHROPIC_", "OPENAI_")):
            monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)


def test_nothing_needs_to_be_set() -> None:
    settings = Settings()
    assert (settings.host, settings.port, settings.is_embedded) == ("127.0.0.1", 8000, True)
    assert settings.resolved_default_model == "extractive"


@pytest.mark.parametrize("name", ["secret_key", "jwt_secret", "platform_admin_key"])
@pytest.mark.parametrize("weak", ["short", "a" * 64, "abcabcabc" * 8, "change-me-change-me-change-me-change-me"])
def test_weak_secrets_are_refused_without_being_shown(name: str, weak: str) -> None:
    with pytest.raises(ValidationError, match=f"INSULA_{name.upper()} is too weak") as refusal:
        Settings.model_validate({name: weak})
    assert weak not in str(refusal.value.errors(include_input=False, include_url=False, include_context=False))


@pytest.mark.parametrize("missing", ["secret_key", "platform_admin_key"])
def test_production_refuses_generated_secrets(missing: str) -> None:
    given = {"secret_key": STRONG, "platform_admin_key": OTHER, "environment": "production"}
    assert Settings.model_validate(given).environment == "production"
    del given[missing]
    with pytest.raises(ValidationError, match=f"INSULA_{missing.upper()} must be set in production"):
        Settings.model_validate(given)


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-visible")
    settings = Settings(secret_key=STRONG)
    assert STRONG not in repr(settings)
    assert "sk-visible" not in repr(settings) + settings.model_dump_json()


@pytest.mark.parametrize("name", ["anthropic_api_key", "anthropic_base_url", "openai_api_key", "openai_base_url"])
def test_providers_are_set_under_their_own_names_and_ours_win(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def value() -> str:
        found = getattr(Settings(), name)
        return str(found.get_secret_value() if hasattr(found, "get_secret_value") else found)

    monkeypatch.setenv(name.upper(), "http://theirs")
    assert value() == "http://theirs"
    monkeypatch.setenv(f"INSULA_{name.upper()}", "http://ours")
    assert value() == "http://ours"


def test_a_key_of_anthropic_makes_claude_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-any")
    assert Settings().resolved_default_model == "anthropic:claude-sonnet-4-6"
    monkeypatch.setenv("INSULA_DEFAULT_MODEL", "openai:llama3")
    assert Settings().resolved_default_model == "openai:llama3"


def test_what_is_set_to_nothing_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("INSULA_SECRET_KEY", "INSULA_PORT", "ANTHROPIC_API_KEY", "INSULA_DATABASE_URL"):
        monkeypatch.setenv(name, "")
    assert Settings() == Settings(_env_file=None)
    assert (Settings().port, Settings().anthropic_api_key) == (8000, None)


def test_the_file_is_read_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("INSULA_PORT=9001\nINSULA_HOST=0.0.0.0\nOPENAI_API_KEY=sk-file\nPATH_OF_OTHERS=1\n")
    monkeypatch.setenv("INSULA_PORT", "9002")
    settings = Settings()
    assert (settings.host, settings.port) == ("0.0.0.0", 9002)
    assert settings.openai_api_key is not None
    assert settings.openai_api_key.get_secret_value() == "sk-file"


@pytest.mark.parametrize(
    ("name", "value"),
    [("port", 65536), ("environment", "staging"), ("embedding_model", "local:other"), ("chunk_tokens", 1)],
)
def test_what_is_not_acceptable_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError, match=name):
        Settings.model_validate({name: value})


def test_a_database_elsewhere_is_not_embedded() -> None:
    settings = Settings(database_url="postgresql+asyncpg://db/insula")
    assert (settings.is_embedded, settings.resolved_database_url) == (False, "postgresql+asyncpg://db/insula")
