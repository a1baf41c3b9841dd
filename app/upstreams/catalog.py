"""The models file: which upstream serves a public model name, under which limits."""

import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, ValidationError, model_validator

from app.domain.errors import ConfigurationError, ModelNotFoundError
from app.domain.jobs import Limits
from app.settings import LimitSeconds, read_secret

_PATTERN_CHARACTERS = frozenset("*?[")


class Upstream(BaseModel):
    """One model server, `[upstreams.NAME]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    protocol: Literal["chat", "responses"] = "chat"
    base_url: HttpUrl
    api_key_env: str | None = None
    """Name of the environment variable that holds the server's key; the key never stands in the file."""
    max_tokens_parameter: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """What the server calls the limit of its answer. All know the default, except OpenAI's reasoning models."""


class Model(BaseModel):
    """One public model name or pattern, `[models."gpt-*"]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    upstream: str
    model: str | None = None
    """The name the upstream knows the model by; the public name if it is not given."""
    hosted_tools: tuple[str, ...] = ()
    """Types of tools that the model server runs itself, such as `web_search`, which requests may use."""
    soft_time_limit: LimitSeconds | None = None
    time_limit: LimitSeconds | None = None
    max_attempts: int | None = Field(default=None, ge=1, le=100)

    def limits(self, default: Limits) -> Limits:
        """The model's own limits, the default's where it sets none; a lone hard limit pulls the soft one down."""
        time_limit = self.time_limit or max(default.time_limit, self.soft_time_limit or 0)
        soft = self.soft_time_limit or min(default.soft_time_limit, time_limit)
        return Limits(soft, time_limit, self.max_attempts or default.max_attempts)


class Catalog(BaseModel):
    """The whole models file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    upstreams: dict[str, Upstream] = Field(min_length=1)
    models: dict[str, Model] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name, model in self.models.items():
            if model.upstream not in self.upstreams:
                raise ValueError(f'models."{name}": there is no [upstreams.{model.upstream}]')
            if model.hosted_tools and self.upstreams[model.upstream].protocol != "responses":
                raise ValueError(f'models."{name}": hosted_tools need an upstream with protocol = "responses"')
            if model.soft_time_limit and model.time_limit and model.soft_time_limit > model.time_limit:
                raise ValueError(f'models."{name}": soft_time_limit must not exceed time_limit')
        return self

    def resolve(self, name: str) -> Model:
        """The entry for a public name. Raises ModelNotFoundError if there is none."""
        return self.models[self.entry(name)]

    def entry(self, name: str) -> str:
        """What the entry for a public name is called: the name itself, else the longest pattern that matches it.

        Raises ModelNotFoundError if there is none.
        """
        patterns = [pattern for pattern in self.models if fnmatchcase(name, pattern)]
        if name not in self.models and not patterns:
            raise ModelNotFoundError("There is no such model. Ask the administrator which are served.", param="model")
        return name if name in self.models else max(patterns, key=len)

    def public_names(self) -> list[str]:
        """Names to show clients: those of the file, and what a pattern stands for where that name works, too."""
        return sorted(filter(None, {self._public_name(name) for name in self.models}))

    def _public_name(self, name: str) -> str | None:
        if not _PATTERN_CHARACTERS & set(name):
            return name
        model = self.models[name]
        if model.model and any(fnmatchcase(model.model, pattern) for pattern in self.models):
            return model.model if self.resolve(model.model).upstream == model.upstream else None
        return None

    def missing_keys(self) -> list[str]:
        """Names of environment variables that upstreams take their keys from and that are not set."""
        wanted = {upstream.api_key_env for upstream in self.upstreams.values() if upstream.api_key_env}
        return sorted(name for name in wanted if not read_secret(name))


def load_catalog(path: Path) -> Catalog:
    """Read a models file; raise ConfigurationError that says what is wrong where."""
    try:
        return Catalog.model_validate(_parse(path))
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, p['loc'])) or 'the file'}: {_reason(p)}" for p in error.errors()]
        raise ConfigurationError(f"The models file {path} is wrong. " + "; ".join(problems) + ".") from None


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"The models file {path} can't be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The models file {path} is not TOML: {error}.") from None


def _reason(problem: Any) -> str:
    return str(problem["msg"]).removeprefix("Value error, ")
