"""What a client asks for: the canonical request that every dialect is translated into."""

from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self

JSON = dict[str, Any]
Role = Literal["system", "developer", "user", "assistant"]
ServiceTier = Literal["auto", "default", "flex", "priority"]

# Kept in columns of their own, and so not among the stored parameters.
_OWN_COLUMNS = {"model", "metadata", "inputs", "context", "background", "stream", "store"}


@dataclass(frozen=True, slots=True)
class JobRequest:
    """One request. What was not given is None or empty, and is then the model server's to choose.

    `inputs` are items in the form of the Responses API: `message` (with `role` and a list of `content` parts
    `input_text`, `input_image`, `input_file`, `output_text`, `refusal`), `function_call`, `function_call_output`
    and `reasoning`. `context` are the items that come before them: those of the chain that
    `previous_response_id` names, copied, so that the job needs no other job to run.
    """

    model: str
    inputs: tuple[JSON, ...]
    context: tuple[JSON, ...] = ()
    instructions: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    top_logprobs: int | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    tools: tuple[JSON, ...] = ()
    """Function tools `{"type": "function", "name", "description", "parameters", "strict"}`; hosted ones as given."""
    tool_choice: str | JSON | None = None
    parallel_tool_calls: bool | None = None
    text: JSON | None = None
    """`{"format": {"type": "text" | "json_object" | "json_schema", …}, "verbosity"}`."""
    reasoning: JSON | None = None
    """`{"effort", "summary"}`."""
    truncation: str | None = None
    previous_response_id: str | None = None
    include: tuple[str, ...] = ()
    service_tier: ServiceTier | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    user: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    background: bool = True
    stream: bool = False
    store: bool = True

    @property
    def conversation(self) -> tuple[JSON, ...]:
        """Everything the model is shown, in order."""
        return self.context + self.inputs

    def parameters(self) -> JSON:
        """The stored form of all that has no column of its own: what was not given is left out."""
        values = ((f.name, getattr(self, f.name)) for f in fields(self) if f.name not in _OWN_COLUMNS)
        return {name: value for name, value in values if value is not None and value != ()}

    def items(self) -> JSON:
        """The stored form of the conversation."""
        return {"inputs": list(self.inputs), **({"context": list(self.context)} if self.context else {})}

    @classmethod
    def restore(cls, model: str, parameters: JSON, items: JSON, **columns: Any) -> Self:
        """The request back from its stored form and the row's columns."""
        lists = {name: tuple(value) for name, value in parameters.items() if isinstance(value, list)}
        conversation = {name: tuple(value) for name, value in items.items()}
        return cls(model=model, **{**parameters, **lists, **conversation, **columns})


def message(role: Role, *texts: str) -> JSON:
    """A message item of plain texts."""
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text} for text in texts]}
