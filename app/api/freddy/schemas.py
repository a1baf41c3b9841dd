"""What a request of the Freddy dialect may hold, and the canonical request it means."""
# ruff: noqa: N815 - both official SDKs work unchanged, one of which writes some names in camel case.

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from app.api.freddy.forms import Reasoning, ResponseFormat, ToolChoice, Tools, to_choice, to_format, to_tool
from app.api.freddy.messages import Message
from app.api.openai.tools import check_choice
from app.api.parameters import MAX_INPUTS, Metadata, ModelName, Temperature, TokenLimit, TopP
from app.api.validation import Absent, RequestModel, refused, wrong
from app.api.webhooks.schemas import Webhook
from app.domain.requests import JSON, JobRequest

Scope = Annotated[str, Field(max_length=512)]
Extra = Literal[
    "all",
    "tools.available",
    "tools.used",
    "web_search.sources",
    "code_interpreter.outputs",
    "file_search.results",
    "message.logprobs",
    "reasoning.encrypted",
    "request.logs",
    "usage.detailed",
    "rules.debug",
    "rules",
]
# Of the others there is nothing to add here.
_INCLUDES: dict[str, str] = {
    "web_search.sources": "web_search_call.action.sources",
    "code_interpreter.outputs": "code_interpreter_call.outputs",
    "file_search.results": "file_search_call.results",
    "message.logprobs": "message.output_text.logprobs",
    "reasoning.encrypted": "reasoning.encrypted_content",
}
_SPELLINGS = {
    "max_output_tokens": ("max_output_tokens", "max_output_synapses", "maxTokens", "max_tokens"),
    "response_format": ("response_format", "responseFormat"),
    "tool_choice": ("tool_choice", "toolChoice"),
    "previous_response_id": ("previous_response_id", "previousResponseId"),
    "organization_id": ("organization_id", "organizationId"),
}
_NO_THREADS = "No threads are kept here. Continue with `previous_response_id`, or send the earlier messages"
_NO_ASSISTANTS = "No assistants are kept here. Send their rules as `instructions`"
_NO_STORES = "No documents are kept here. Send what the model is to know"


class CreateResponse(RequestModel):
    """The body of `POST /v1/model/response`. Null is the same as left out."""

    model: ModelName
    inputs: Annotated[list[Message], Field(min_length=1, max_length=MAX_INPUTS, fail_fast=True)]
    background: bool | None = None
    """Answer at once with the id of a job that runs on its own."""
    stream: bool | None = None
    """Answer with a stream of events."""
    store: bool | None = None
    """False: the response is kept for ten minutes only."""
    instructions: str | None = None
    """A system message before the inputs; not kept for the next response of a chain."""
    temperature: Temperature | None = None
    top_p: TopP | None = None
    max_output_tokens: TokenLimit | None = None
    max_output_synapses: TokenLimit | None = None
    """Another name of `max_output_tokens`."""
    maxTokens: TokenLimit | None = None
    """Another name of `max_output_tokens`."""
    max_tokens: TokenLimit | None = None
    """Another name of `max_output_tokens`."""
    tools: Tools | None = None
    tool_choice: ToolChoice | None = None
    toolChoice: ToolChoice | None = None
    """Another name of `tool_choice`."""
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    responseFormat: ResponseFormat | None = None
    """Another name of `response_format`."""
    reasoning: Reasoning | None = None
    include: Annotated[list[Extra], Field(max_length=100, fail_fast=True)] | None = None
    """Passed on to model servers of the Responses API, as far as they have such a thing."""
    metadata: Metadata | None = None
    previous_response_id: str | None = None
    """The completed response that the conversation goes on from."""
    previousResponseId: str | None = None
    """Another name of `previous_response_id`."""
    organization_id: Scope | None = None
    """Kept in the response's metadata."""
    organizationId: Scope | None = None
    """Another name of `organization_id`."""
    workflow_id: Scope | None = None
    """Kept in the response's metadata."""
    disable_rules: bool | None = None
    """Accepted: there are no rules here."""
    webhook: Webhook | None = None
    """Where to tell of the end of this response."""

    thread_id: Annotated[Absent, refused(_NO_THREADS)] = None
    threadId: Annotated[Absent, refused(_NO_THREADS)] = None
    edit_message_id: Annotated[Absent, refused(_NO_THREADS)] = None
    previous_message_id: Annotated[Absent, refused(_NO_THREADS)] = None
    assistant_id: Annotated[Absent, refused(_NO_ASSISTANTS)] = None
    assistantId: Annotated[Absent, refused(_NO_ASSISTANTS)] = None
    vector_store_ids: Annotated[Absent, refused(_NO_STORES)] = None
    space_id: Annotated[Absent, refused(_NO_STORES)] = None
    system_tools: Annotated[Absent, refused("There are no system tools here. Send `tools`")] = None
    output_mode: Annotated[Absent, refused("Answers are shown as the model wrote them. Leave this out", "text")] = None

    @model_validator(mode="after")
    def _one_spelling_each(self) -> Self:
        for names in _SPELLINGS.values():
            first, *others = [name for name in names if getattr(self, name) is not None] or [""]
            if others:
                raise wrong(f"This is the same as `{first}`. Leave one of them out", others[0])
        return self

    @model_validator(mode="after")
    def _choice_is_offered(self) -> Self:
        param = "toolChoice" if self.tool_choice is None else "tool_choice"
        check_choice(self._tools(), to_choice(self._given("tool_choice")), param)
        return self

    def to_job_request(self) -> JobRequest:
        """The canonical request."""
        given = self._given("response_format")
        return JobRequest(
            model=self.model,
            inputs=tuple(message.to_item() for message in self.inputs),
            instructions=self.instructions,
            temperature=self.temperature,
            top_p=self.top_p,
            max_output_tokens=self._given("max_output_tokens"),
            tools=self._tools(),
            tool_choice=to_choice(self._given("tool_choice")),
            parallel_tool_calls=self.parallel_tool_calls,
            text={"format": to_format(given)} if given else None,
            reasoning=(self.reasoning and self.reasoning.to_reasoning()) or None,
            include=tuple(dict.fromkeys(_INCLUDES[name] for name in self.include or () if name in _INCLUDES)),
            previous_response_id=self._given("previous_response_id"),
            metadata=self._scopes() | (self.metadata or {}),
            background=bool(self.background),
            stream=bool(self.stream),
            store=self.store is not False,
        )

    def _given(self, name: str) -> Any:
        """The parameter, in whichever spelling it was given."""
        values = (getattr(self, spelling) for spelling in _SPELLINGS[name])
        return next((value for value in values if value is not None), None)

    def _tools(self) -> tuple[JSON, ...]:
        return tuple(to_tool(tool) for tool in self.tools or ())

    def _scopes(self) -> dict[str, str]:
        scopes = {"organization_id": self._given("organization_id"), "workflow_id": self.workflow_id}
        return {name: value for name, value in scopes.items() if value is not None}
