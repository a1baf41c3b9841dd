"""What a request of the OpenAI dialect may hold, and the canonical request it means."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from app.api.openai.formats import TextConfig
from app.api.openai.items import InputItems
from app.api.openai.tools import ToolChoice, Tools, check_choice, stored_choice, stored_tool
from app.api.parameters import INT_MAX, Includes, Metadata, ModelName, Temperature, TokenLimit, TopP
from app.api.validation import Absent, RequestModel, branch, refused, text_or
from app.api.webhooks.schemas import Webhook
from app.domain.requests import JSON, JobRequest, ServiceTier, message

Penalty = Annotated[float, Field(ge=-2, le=2)]
Summary = Literal["auto", "concise", "detailed"]


class StreamOptions(RequestModel):
    """How the stream is written."""

    include_obfuscation: bool | None = None
    """Accepted; streams are never padded."""


class ReasoningConfig(RequestModel):
    """How the model thinks, if it does."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    summary: Summary | None = None
    """Whether to tell what it thought."""
    generate_summary: Summary | None = None
    """The former name of `summary`."""
    mode: Annotated[Absent, refused("Choose another model, or another `effort`")] = None
    context: Annotated[Absent, refused("All reasoning of the conversation is passed on. Leave this out")] = None

    def to_reasoning(self) -> JSON:
        """The stored form; empty if nothing was asked for."""
        found = {"effort": self.effort, "summary": self.summary or self.generate_summary}
        return {name: value for name, value in found.items() if value is not None}


class CreateResponse(RequestModel):
    """The body of `POST /v1/responses`. Null is the same as left out."""

    model: ModelName
    input: Annotated[
        Annotated[str, Field(min_length=1), branch("text")] | Annotated[InputItems, branch("list")],
        text_or("a list of items"),
    ]
    """A text, or the items of a conversation."""
    instructions: str | None = None
    """A system message before the conversation; not kept for the next response of a chain."""
    background: bool | None = None
    """Answer at once with the id of a job that runs on its own."""
    stream: bool | None = None
    """Answer with a stream of events."""
    stream_options: StreamOptions | None = None
    store: bool | None = None
    """False: the response is kept for ten minutes only."""
    metadata: Metadata | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    max_output_tokens: TokenLimit | None = None
    max_tool_calls: Annotated[int, Field(ge=1, le=INT_MAX)] | None = None
    """Calls of tools that the model server runs itself."""
    tools: Tools | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    text: TextConfig | None = None
    reasoning: ReasoningConfig | None = None
    truncation: Literal["auto", "disabled"] | None = None
    previous_response_id: str | None = None
    """The completed response that the conversation goes on from."""
    include: Includes | None = None
    """Passed on to model servers of the Responses API."""
    service_tier: ServiceTier | None = None
    """The queue of a background response: `flex` waits for all others, `priority` goes before them."""
    safety_identifier: Annotated[str, Field(max_length=64)] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    """Accepted, and left to the model server."""
    prompt_cache_options: JSON | None = None
    """Accepted, and left to the model server."""
    user: str | None = None
    webhook: Webhook | None = None
    """Where to tell of the end of this response."""

    conversation: Annotated[Absent, refused("Continue with `previous_response_id` instead")] = None
    prompt: Annotated[Absent, refused("No templates are kept here. Send `instructions` and `input`")] = None
    context_management: Annotated[Absent, refused("Leave this out, and shorten a long conversation yourself")] = None
    moderation: Annotated[Absent, refused("Nothing is moderated here. Leave this out")] = None

    @model_validator(mode="after")
    def _choice_is_offered(self) -> Self:
        check_choice(self._tools(), stored_choice(self.tool_choice), "tool_choice")
        return self

    def to_job_request(self) -> JobRequest:
        """The canonical request."""
        return JobRequest(
            model=self.model,
            inputs=self._inputs(),
            instructions=self.instructions,
            temperature=self.temperature,
            top_p=self.top_p,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            top_logprobs=self.top_logprobs,
            max_output_tokens=self.max_output_tokens,
            max_tool_calls=self.max_tool_calls,
            tools=self._tools(),
            tool_choice=stored_choice(self.tool_choice),
            parallel_tool_calls=self.parallel_tool_calls,
            text=(self.text and self.text.to_text()) or None,
            reasoning=(self.reasoning and self.reasoning.to_reasoning()) or None,
            truncation=self.truncation,
            previous_response_id=self.previous_response_id,
            include=tuple(dict.fromkeys(self.include or ())),
            service_tier=self.service_tier,
            safety_identifier=self.safety_identifier,
            prompt_cache_key=self.prompt_cache_key,
            user=self.user,
            metadata=self.metadata or {},
            background=bool(self.background),
            stream=bool(self.stream),
            store=self.store is not False,
        )

    def _inputs(self) -> tuple[JSON, ...]:
        if isinstance(self.input, str):
            return (message("user", self.input),)
        return tuple(item.to_item() for item in self.input)

    def _tools(self) -> tuple[JSON, ...]:
        return tuple(stored_tool(tool) for tool in self.tools or ())
