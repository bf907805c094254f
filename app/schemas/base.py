"""What every wire shape shares: input refuses unknown fields, output is read from our own objects."""

from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from app.core.pagination import Page


class InputSchema(BaseModel):
    """A request body: a misspelt option is refused, never dropped."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=False, allow_inf_nan=False)


def refuse_null(model: BaseModel, *fields: str) -> None:
    """Raise ValueError where a field that always has a value was sent as null."""
    for field in fields:
        if field in model.model_fields_set and getattr(model, field) is None:
            raise ValueError(f"{field} cannot be null; leave it out to keep it")


def example(body: dict[str, Any]) -> ConfigDict:
    """The configuration of a request body that shows one of its kind."""
    return ConfigDict(json_schema_extra={"examples": [body]})


class OutputSchema(BaseModel):
    """A response body."""

    model_config = ConfigDict(from_attributes=True)


def read_columns(schema: type[BaseModel], row: object, **instead: Any) -> dict[str, Any]:
    """The fields of a schema from the columns of the same names, but for those that are given."""
    names = schema.model_fields.keys() - instead.keys() - {"object"}
    return {name: getattr(row, name) for name in names} | instead


def _no_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain NUL characters")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("must be valid Unicode, without lone surrogates") from error
    return text


Text = Annotated[str, AfterValidator(_no_nul)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True), AfterValidator(_no_nul)]
Slug = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"),
    Field(description="Lower-case letters, digits and hyphens, at most 63 of them."),
]
ModelName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200),
    AfterValidator(_no_nul),
    Field(description="`provider:model`, such as `anthropic:claude-sonnet-4-6`; a bare `claude-...` means Anthropic."),
]
LongText = Annotated[str, StringConstraints(max_length=100_000), AfterValidator(_no_nul)]
Temperature = Annotated[float, Field(ge=0, le=2, description="Higher is more varied; unset is the model's default.")]
MaxTokens = Annotated[int, Field(ge=1, le=200_000, description="Most tokens of one answer.")]


def _near_our_time(moment: datetime) -> datetime:
    if not EARLIEST <= moment <= LATEST:
        raise ValueError(f"must lie between {EARLIEST.year} and {LATEST.year}")
    return moment


EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
#: A time with its zone, far enough from the ends of the calendar to be reckoned with.
Moment = Annotated[AwareDatetime, AfterValidator(_near_our_time)]


def _plain_key(key: str) -> str:
    if not key or len(key) > MAX_METADATA_KEY_LENGTH or not all(c.isalnum() or c in "_-" for c in key):
        raise ValueError(f"keys are 1 to {MAX_METADATA_KEY_LENGTH} letters, digits, `_` or `-`")
    return _no_nul(key)


def _exact_number(value: Any) -> Any:
    """Databases and vector stores keep numbers as 64-bit floats; a number that would change there is refused."""
    if isinstance(value, int) and abs(value) > LARGEST_EXACT_NUMBER:
        raise ValueError("numbers beyond 2^53 lose digits; send them as text")
    return value


MAX_METADATA_KEYS = 32
MAX_METADATA_KEY_LENGTH = 64
LARGEST_EXACT_NUMBER = 2**53
MetadataKey = Annotated[str, AfterValidator(_plain_key)]
MetadataText = Annotated[str, StringConstraints(max_length=500), AfterValidator(_no_nul)]
MetadataValue = Annotated[MetadataText | bool | int | float, BeforeValidator(_exact_number)]
Metadata = Annotated[
    dict[MetadataKey, MetadataValue],
    Field(
        max_length=MAX_METADATA_KEYS,
        description="Up to 32 keys of your own with strings, numbers or booleans; searches can filter by them.",
    ),
]

T = TypeVar("T")


class PageOf(OutputSchema, Generic[T]):
    """One page of a list."""

    object: Literal["list"] = "list"
    data: list[T]
    has_more: bool = Field(description="Whether there are items beyond this page.")
    first_id: str | None = Field(description="Id of the first item; `before` it lies the previous page.")
    last_id: str | None = Field(description="Id of the last item; `after` it lies the next page.")


S = TypeVar("S", bound=OutputSchema)


def page_of(schema: type[S], page: Page[Any]) -> PageOf[S]:
    """Render a page of our own objects."""
    data = [schema.model_validate(item) for item in page.items]
    ids: list[str] = [item.id for item in page.items]
    return PageOf[S](
        data=data,
        has_more=page.has_more,
        first_id=ids[0] if ids else None,
        last_id=ids[-1] if ids else None,
    )


class Deleted(OutputSchema):
    """What a delete answers."""

    id: str
    object: str
    deleted: Literal[True] = True
