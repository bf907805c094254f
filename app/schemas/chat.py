"""Chat on the wire."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from app.schemas.base import InputSchema, Metadata, OutputSchema, Text, example

Content = Annotated[Text, StringConstraints(min_length=1, max_length=200_000)]


class TextPart(InputSchema):
    """A part of a message, as OpenAI and Anthropic clients send it."""

    type: Literal["text"]
    text: Content


class ChatMessageIn(InputSchema):
    """One turn of the conversation."""

    role: Literal["user", "assistant", "system"]
    content: Content | Annotated[list[TextPart], Field(min_length=1, max_length=100)]

    @property
    def text(self) -> str:
        """The content as one text."""
        return self.content if isinstance(self.content, str) else "\n".join(part.text for part in self.content)


class ChatRequest(InputSchema):
    """A question: `message`, or `messages` with the whole exchange so far, of which the last is the user's."""

    message: Content | None = Field(None, examples=["How long is the warranty?"])
    messages: Annotated[list[ChatMessageIn], Field(min_length=1, max_length=500)] | None = None
    agent_id: str | None = Field(
        None,
        description="Id or slug. Unset: the conversation's agent, else the tenant's own prompt, model and documents.",
    )
    conversation_id: str | None = Field(None, description="Goes on with a conversation; unset starts one.")
    knowledge_base_ids: list[str] | None = Field(
        None, max_length=100, description="Narrows where the answer may come from, within what the agent may use."
    )
    metadata: Metadata = Field(default_factory=dict, description="Kept with the conversation that this starts.")

    @model_validator(mode="after")
    def _one_question(self) -> "ChatRequest":
        if (self.message is None) == (self.messages is None):
            raise ValueError("send either `message` or `messages`")
        if self.messages is not None and self.messages[-1].role != "user":
            raise ValueError("the last of `messages` must be the user's")
        return self


class ChatStreamRequest(ChatRequest):
    """A question whose answer is streamed."""

    stream_format: Literal["simple", "events"] = Field(
        "simple", description='`simple`: `data: {"text": ...}` lines and `[DONE]`; `events`: typed, with citations.'
    )


class ChatOnceRequest(ChatRequest):
    """A question whose answer comes whole."""

    model_config = example({"message": "How long is the warranty?"})

    background: bool = Field(False, description="Answer 202 at once, with the run to follow.")


class CitationRead(OutputSchema):
    """What a `[n]` in the answer refers to."""

    index: int = Field(description="The n of `[n]` in the answer.")
    document_id: str
    chunk_id: str
    title: str
    page: int | None
    start: int = Field(description="First code point of the quote in the document's text.")
    end: int = Field(description="One past the last code point.")
    quote: str = Field(description="Stands letter for letter in the document's text.")


class UsageRead(OutputSchema):
    """Tokens, as the model's vendor counts them."""

    input_tokens: int
    output_tokens: int


class ChatResponse(OutputSchema):
    """A whole answer."""

    object: Literal["chat.response"] = "chat.response"
    run_id: str
    conversation_id: str
    message_id: str
    agent_id: str | None
    model: str
    status: Literal["completed", "cancelled"]
    text: str
    citations: list[CitationRead]
    usage: UsageRead


class RunAccepted(OutputSchema):
    """A run that has begun in the background; read it at `/runs/{run_id}/stream` or `/runs/{run_id}`."""

    object: Literal["run"] = "run"
    run_id: str
    conversation_id: str
    status: Literal["in_progress"] = "in_progress"
