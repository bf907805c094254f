"""How embedding can fail, in the terms that ingestion and retrieval decide by."""


class EmbeddingFailed(Exception):
    """No vectors could be had. ``message`` is safe to show: no key, no header, no text of a document."""

    def __init__(
        self, message: str, *, is_retryable: bool, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.is_retryable = is_retryable
        self.status = status
        self.retry_after = retry_after


class ModelCorrupt(Exception):
    """The model's file is not the one that we evaluated: its hash differs."""
