"""What parameters mean that both dialects know by the same name, where the models themselves say nothing."""

from app.domain.requests import JSON

DESCRIPTIONS = {
    "after": "The id after which the page begins, in the order of the list.",
    "background": "Answer at once with the id of a response that goes on by itself.",
    "before": "The id before which the page ends, in the order of the list.",
    "created_after": "Only responses created at this Unix time or later.",
    "created_before": "Only responses created at this Unix time or earlier.",
    "frequency_penalty": "How much the model shuns what it has often said.",
    "inputs": "The conversation, oldest message first.",
    "include": "What else to show; passed on to model servers of the Responses API.",
    "include_obfuscation": "Accepted, and without effect: events are not padded.",
    "instructions": "A system message before the conversation.",
    "limit": "How many to list at most.",
    "max_output_tokens": "How many tokens the model may write, those of its reasoning included.",
    "metadata": "Names and values of your own. A list can be narrowed to them.",
    "model": "The name of a model that is served; `GET /v1/models` lists them.",
    "order": "`desc` is newest first.",
    "parallel_tool_calls": "Whether the model may call several tools at once.",
    "presence_penalty": "How much the model shuns what it has said at all.",
    "previous_response_id": "The completed response that the conversation goes on from.",
    "prompt_cache_key": "Passed on to the model server, which may find its cache by it.",
    "reasoning": "How much the model thinks, and whether it tells of it.",
    "response_format": "The form of the answer: text, any JSON, or JSON that follows a schema.",
    "safety_identifier": "Who of your users this is for; passed on to the model server.",
    "starting_after": "With `stream`: the `sequence_number` after which to go on.",
    "status": "Only responses of this status.",
    "store": "`false`: the response is kept for ten minutes after its end only.",
    "stream": "Answer with the stream of the response's events.",
    "stream_options": "Accepted, and without effect.",
    "temperature": "How freely the model chooses its words. Left out, it is the model server's choice.",
    "text": "The form of the answer: text, any JSON, or JSON that follows a schema.",
    "tool_choice": "Whether the model must use tools, and which.",
    "tools": "What the model may want to be called.",
    "top_logprobs": "How many of the likeliest tokens to tell at each place.",
    "top_p": "Only the likeliest tokens that make up this share are chosen from.",
    "truncation": "Whether the model server may drop the oldest items of a conversation that is too long.",
    "user": "Who of your users this is for; passed on to the model server.",
    "wait": "Seconds to wait for the end of the response before it is shown as it is.",
}


def describe(model_schema: JSON) -> None:
    """Add what is missing to the properties of a model."""
    for name, schema in model_schema.get("properties", {}).items():
        if name in DESCRIPTIONS:
            schema.setdefault("description", DESCRIPTIONS[name])
