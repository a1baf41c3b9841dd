"""What the routes answer that are about no single response."""

from typing import Any, Literal

from pydantic import ConfigDict

from app.api.openapi.shapes.base import Shape, UnixTime


class Model(Shape):
    """A model that is served."""

    id: str
    """What to send as `model`."""
    object: Literal["model"]
    created: UnixTime
    owned_by: str


class ModelList(Shape):
    """The models that are served by name."""

    object: Literal["list"]
    data: list[Model]


class Health(Shape):
    """Whether the process answers."""

    status: Literal["ok"]


class Readiness(Shape):
    """Whether the process can serve, and what is wrong by part."""

    status: Literal["ok", "degraded", "unavailable"]
    """`degraded`: without the broker everything is accepted, and started when it is back."""
    database: Literal["ok", "unavailable"]
    migrations: str
    """`ok`, or what to do."""
    broker: Literal["ok", "unavailable"]


class OpenAPIDocument(Shape):
    """An OpenAPI document."""

    model_config = ConfigDict(extra="allow")

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]
    components: dict[str, Any]
