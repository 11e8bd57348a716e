"""What settings are made of: sections, secrets by their place, addresses."""

import os
import re
from pathlib import Path
from typing import Annotated, Final, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError


class ConfigError(Exception):
    """The configuration can't be used; the message says where it is wrong and what would be right."""


def wrong_at(why: str, *path: str | int) -> PydanticCustomError:
    """The error of a validator that knows which part of its value is wrong: it is told with the line of that part."""
    return PydanticCustomError("at_key", "{why}", {"at": path, "why": why})


class Section(BaseModel):
    """A part of the configuration: unknown keys are errors, values never change."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Secret(Section):
    """Where a secret is kept. The secret itself never stands in the configuration."""

    env: str | None = Field(None, description="Name of the environment variable that holds it.")
    file: Path | None = Field(None, description="File that holds it; surrounding white space is cut off.")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError("name one place: `env: NAME` or `file: PATH`")
        return self

    def reveal(self) -> str:
        """The secret.

        Raises:
            ConfigError: The variable is not set, or the file can't be read or is empty.
        """
        if self.env is not None:
            value = os.environ.get(self.env)
            if not value:
                raise ConfigError(f"the environment variable {self.env} is not set: a secret is kept there")
            return value
        try:
            value = Path(str(self.file)).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigError(f"the secret in {self.file} can't be read: {error.strerror}") from error
        except UnicodeDecodeError:
            raise ConfigError(f"the secret in {self.file} can't be read: it is not text in UTF-8") from None
        if not value:
            raise ConfigError(f"the file {self.file} is empty: a secret is kept there")
        return value


def without_password(url: str) -> str:
    """The URL as it is.

    Raises:
        ValueError: It holds a password, which would show in logs and in `detector check`.
    """
    if urlsplit(url).password is not None:
        raise ValueError("the `url` holds a password: take it out, and name its place as a secret")
    return url


_CREDENTIALS: Final = re.compile(
    r"(?:^|[_-])(?:token|key|apikey|secret|password|passwd|pwd|sig|signature|auth)$", re.IGNORECASE
)


def without_credentials(url: str) -> str:
    """The URL as it is.

    Raises:
        ValueError: It holds a user, a password, or a parameter that is called like a secret.
    """
    parts = urlsplit(without_password(url))
    if parts.username is not None:
        raise ValueError("the `url` holds credentials before the `@`: take them out, and name their place as a secret")
    for name, _ in parse_qsl(parts.query, keep_blank_values=True):
        if _CREDENTIALS.search(name):
            raise ValueError(f"the `url` holds a secret, `{name}`, which would show in logs: take it out")
    return url


def _http(url: str) -> str:
    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        raise ValueError("an address that begins with http:// or https:// is wanted")
    return url


Url = Annotated[str, AfterValidator(_http), AfterValidator(without_credentials)]


def _topic_name(name: str) -> str:
    if not re.fullmatch(r"[a-zA-Z0-9._-]{1,249}", name) or name in {".", ".."}:
        raise ValueError(f"{name!r} can't be a topic of Kafka: 1 to 249 letters, digits, dots, underscores or hyphens")
    return name


TopicName = Annotated[str, AfterValidator(_topic_name)]
