"""From pydantic models to the document's component schemas."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import (
    CoreRef,
    DefsRef,
    GenerateJsonSchema,
    JsonSchemaMode,
    JsonSchemaValue,
    models_json_schema,
)
from pydantic_core import core_schema

from app.api.openapi.descriptions import describe
from app.api.openapi.shapes.base import Shape
from app.domain.requests import JSON

REF = "#/components/schemas/"


class _Generator(GenerateJsonSchema):
    """Without titles that say nothing, and without null where an answer leaves a field out instead."""

    def enum_schema(self, schema: core_schema.EnumSchema) -> JsonSchemaValue:
        # The docstring speaks to those who work on the code.
        return {name: value for name, value in super().enum_schema(schema).items() if name != "description"}

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        if isinstance(schema["discriminator"], str):
            return super().tagged_union_schema(schema)
        # A function chooses the branch: the value may look like another one, too.
        return self.union_schema(core_schema.union_schema(list(schema["choices"].values())))

    def model_fields_schema(self, schema: core_schema.ModelFieldsSchema) -> JsonSchemaValue:
        described = super().model_fields_schema(schema)
        for field in schema["fields"].values():
            first, *others = _spellings(field) or [""]
            for other in others:
                described["properties"][other] = {**described["properties"][first], "description": f"As `{first}`."}
        return described

    def get_defs_ref(self, core_mode_ref: tuple[CoreRef, JsonSchemaMode]) -> DefsRef:
        found = super().get_defs_ref(core_mode_ref)
        self._prioritized_defsref_choices[found] = [DefsRef(_name(core_mode_ref[0])), found]
        return found

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        if schema.get("default", ...) is not None:
            return super().default_schema(schema)
        inner = schema["schema"]
        if self.mode == "serialization" and inner["type"] == "nullable":
            inner = inner["schema"]
        return self.generate_inner(inner)


def component_schemas(
    asked: Iterable[type[BaseModel]], shown: Iterable[type[BaseModel]]
) -> tuple[dict[type[BaseModel], JSON], dict[str, JSON]]:
    """A reference to each model of requests and answers, and the schemas of all they are made of, by name."""
    modes: tuple[tuple[Iterable[type[BaseModel]], JsonSchemaMode], ...] = (
        (asked, "validation"),
        (shown, "serialization"),
    )
    wanted = [(model, mode) for models, mode in modes for model in dict.fromkeys(models)]
    found, definitions = models_json_schema(wanted, ref_template=REF + "{model}", schema_generator=_Generator)
    references = {model: found[model, mode] for model, mode in wanted}
    schemas: dict[str, JSON] = definitions.get("$defs", {})
    for model in asked:
        describe(schemas[name_of(references[model])])
    return references, dict(sorted(schemas.items()))


def name_of(reference: JSON) -> str:
    """The name of the schema that a reference is to."""
    return str(reference["$ref"]).removeprefix(REF)


def _name(core_ref: str) -> str:
    """What a model is called in the document, where both dialects and the answers may know one by the same name."""
    module, _, name = core_ref.partition(":")[0].rpartition(".")
    if module.startswith("app.api.freddy"):
        return f"Freddy{name}"
    return f"{name}Param" if module.startswith("app.api.openai") and name in _shapes() else name


@cache
def _shapes() -> set[str]:
    def below(cls: type) -> Iterator[str]:
        inner: type
        for inner in cls.__subclasses__():
            yield inner.__name__
            yield from below(inner)

    return set(below(Shape))


def _spellings(field: core_schema.ModelField) -> list[str]:
    """The names of a parameter that has several."""
    aliases = field.get("validation_alias")
    return [str(path[0]) for path in aliases if isinstance(path, list)] if isinstance(aliases, list) else []
