"""What all shapes of the API share: names, texts, requests, answers, pages."""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr

T = TypeVar("T")
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Reason = Annotated[str, Field(max_length=2000)]
Secret = Annotated[SecretStr, Field(max_length=1024)]
Label = Annotated[str, Field(max_length=64)]
Proving = Annotated[dict[str, str], Field(max_length=12, repr=False)]
"""A proof that the person is there, for exactly this request: see ``web.stepup``."""


class Asked(BaseModel):
    """A request body: unknown members are refused, and the input is never repeated in an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Given(BaseModel):
    """A response body."""

    model_config = ConfigDict(frozen=True)


class Page(Given, Generic[T]):
    """Some items, newest first; ``next`` is the cursor for more, or null."""

    items: list[T]
    next: str | None = None
