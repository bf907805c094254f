"""Settings: everything that can be configured, read from the environment once, by the process that starts."""

from pathlib import Path
from typing import Literal, Self

from pydantic import AliasChoices, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_LEAST_SECRET_LENGTH = 32
_LEAST_SECRET_VARIETY = 10


def _is_weak(secret: str) -> bool:
    return len(secret) < _LEAST_SECRET_LENGTH or len(set(secret)) < _LEAST_SECRET_VARIETY


class Settings(BaseSettings):
    """All settings. Each is set by ``INSULA_<NAME>``; the providers' keys also by the names their own SDKs use."""

    model_config = SettingsConfigDict(
        env_prefix="INSULA_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
        frozen=True,
    )

    environment: Literal["development", "production"] = Field(
        "development", description="`production` refuses generated secrets and other conveniences."
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    data_dir: Path = Field(Path("data"), description="Where the embedded database, vectors and files live.")
    base_domain: str = Field("localhost", description="Tenants are found at `<slug>.<base domain>`.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="`auto` is readable on a terminal and JSON elsewhere."
    )

    secret_key: SecretStr | None = Field(
        None, description="Master secret, 32 characters or more; generated into the data directory in development."
    )
    jwt_secret: SecretStr | None = Field(
        None, description="HS256 secret of the JWTs that you issue; derived from the secret key when unset."
    )
    jwt_audience: str | None = Field(None, description="Required `aud` of JWTs, where set.")
    jwt_issuer: str | None = Field(None, description="Required `iss` of JWTs, where set.")
    platform_admin_key: SecretStr | None = Field(
        None, description="Bearer key of the platform's operator; generated into the data directory in development."
    )
    metrics_token: SecretStr | None = Field(
        None, description="Bearer token that may read `/metrics`, besides the platform admin key."
    )
    auth_cache_seconds: float = Field(
        1.0, ge=0, le=60, description="How long a verified credential is trusted before it is looked up again."
    )

    database_url: str | None = Field(None, description="SQLAlchemy URL; SQLite in the data directory when unset.")
    database_pool_size: int = Field(10, ge=1, le=200, description="Database connections per process.")

    max_upload_bytes: int = Field(50 * 2**20, ge=1, description="Largest file that an upload may hold.")
    max_body_bytes: int = Field(2**20, ge=1024, description="Largest body of any other request.")

    worker_threads: int = Field(
        4,
        ge=1,
        le=64,
        description="Jobs that one process does at the same time; more than one tenant may have, so that none waits for another's.",
    )
    jobs_per_tenant: int = Field(2, ge=1, description="Jobs of one tenant in work at the same time.")
    job_lease_seconds: float = Field(30.0, gt=0, description="How long a silent worker keeps a job.")
    job_poll_seconds: float = Field(1.0, gt=0, description="How often stranded work is looked for.")
    job_max_retries: int = Field(3, ge=0, description="Tries after the first one.")
    job_retry_delay_seconds: float = Field(30.0, ge=0, description="Delay before the first retry; it doubles.")

    chunk_tokens: int = Field(200, ge=32, le=2000, description="Most tokens of a chunk.")
    chunk_overlap_tokens: int = Field(0, ge=0, le=200, description="Tokens that neighbouring chunks share.")
    parse_seconds: float = Field(60.0, gt=0, description="Wall clock and CPU time that parsing a file may take.")
    parse_memory_bytes: int = Field(2**30, ge=2**28, description="Address space of the parsing process.")
    max_text_chars: int = Field(20_000_000, ge=1000, description="Longest text that a document may have.")

    embedding_model: str = Field(
        "local:all-MiniLM-L6-v2",
        pattern=r"^(local:all-MiniLM-L6-v2|openai:.+|hashed:test)$",
        description="`local:all-MiniLM-L6-v2`, or `openai:<model>` at the OpenAI base URL.",
    )
    embedding_dimension: int | None = Field(None, ge=8, description="Vector size of an `openai:` embedding model.")
    embedding_threads: int = Field(2, ge=1, le=64, description="Threads that embed documents.")

    default_model: str | None = Field(
        None, description="Model where neither agent nor tenant names one; `extractive` until a provider key is set."
    )
    anthropic_api_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("INSULA_ANTHROPIC_API_KEY", "ANTHROPIC_API_KEY"),
        description="Key of the Anthropic API.",
    )
    anthropic_base_url: str = Field(
        "https://api.anthropic.com",
        validation_alias=AliasChoices("INSULA_ANTHROPIC_BASE_URL", "ANTHROPIC_BASE_URL"),
        description="Where the Anthropic API is.",
    )
    openai_api_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("INSULA_OPENAI_API_KEY", "OPENAI_API_KEY"),
        description="Key of the OpenAI-compatible API, where it needs one.",
    )
    openai_base_url: str = Field(
        "https://api.openai.com/v1",
        validation_alias=AliasChoices("INSULA_OPENAI_BASE_URL", "OPENAI_BASE_URL"),
        description="Any OpenAI-compatible API: OpenAI, Ollama, vLLM, llama.cpp.",
    )
    model_first_event_seconds: float = Field(60.0, gt=0, description="How long a model may take to begin.")
    model_idle_seconds: float = Field(60.0, gt=0, description="How long a model may be silent in the middle.")
    model_total_seconds: float = Field(600.0, gt=0, description="How long one answer may take in all.")

    run_lease_seconds: float = Field(10.0, gt=0, description="How long a run of a silent process stays open.")
    run_retention_seconds: float = Field(60.0, ge=0, description="How long a finished run's log stays in memory.")
    drain_seconds: float = Field(10.0, ge=0, description="How long answers may go on once the process should stop.")
    sse_ping_seconds: float = Field(15.0, gt=0, description="Silence after which a stream sends a comment.")

    @model_validator(mode="after")
    def _refuse_weak_secrets(self) -> Self:
        for name in ("secret_key", "platform_admin_key", "jwt_secret"):
            secret: SecretStr | None = getattr(self, name)
            if secret is None and name != "jwt_secret" and self.environment == "production":
                raise ValueError(f"INSULA_{name.upper()} must be set in production")
            if secret is not None and _is_weak(secret.get_secret_value()):
                raise ValueError(f"INSULA_{name.upper()} is too weak: use 32 random characters or more")
        return self

    @property
    def resolved_database_url(self) -> str:
        """The database URL, or that of the embedded SQLite file."""
        return self.database_url or f"sqlite+aiosqlite:///{self.data_dir.resolve() / 'insula.db'}"

    @property
    def is_embedded(self) -> bool:
        """Whether one process holds everything: database file, broker, vectors and worker."""
        return self.resolved_database_url.startswith("sqlite")

    @property
    def resolved_default_model(self) -> str:
        """The model of last resort: the configured one, else Claude where there is a key, else ``extractive``."""
        if self.default_model:
            return self.default_model
        return "anthropic:claude-sonnet-4-6" if self.anthropic_api_key else "extractive"
