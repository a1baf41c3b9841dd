"""A conversation of the Responses API as messages of chat completions."""

from collections.abc import Callable, Iterable

from app.domain.jobs import Failure
from app.domain.ports import UpstreamError
from app.domain.requests import JSON, JobRequest

_TEXTS = {"input_text", "output_text", "refusal"}


def messages(request: JobRequest) -> list[JSON]:
    """The messages; raise UpstreamError for what chat completions can't carry.

    Items that only the server they came from understands, such as reasoning, are left out.
    """
    sent: list[JSON] = []
    if request.instructions:
        sent.append({"role": "system", "content": request.instructions})
    for item in request.conversation:
        if add := _ITEMS.get(item["type"]):
            add(sent, item)
    if not sent:
        raise _refused("Nothing in this conversation is a message or a function call. Send one.")
    return sent


def _add_message(sent: list[JSON], item: JSON) -> None:
    # Many servers know no `developer`; those that do take `system` for it.
    role = "system" if item["role"] == "developer" else item["role"]
    if role == "assistant":
        _add_assistant(sent, _joined(item["content"]))
    else:
        sent.append({"role": role, "content": _content(item["content"])})


def _add_assistant(sent: list[JSON], text: str) -> None:
    if sent and "tool_calls" in sent[-1]:
        # A text after its own tool calls: nothing may stand between those and their outputs.
        sent[-1]["content"] = "\n\n".join(filter(None, (sent[-1]["content"], text)))
    else:
        sent.append({"role": "assistant", "content": text})


def _add_call(sent: list[JSON], item: JSON) -> None:
    if not sent or sent[-1]["role"] != "assistant":
        sent.append({"role": "assistant", "content": None})
    function = {"name": item["name"], "arguments": item["arguments"]}
    calls = sent[-1].setdefault("tool_calls", [])
    calls.append({"id": item["call_id"], "type": "function", "function": function})


def _add_output(sent: list[JSON], item: JSON) -> None:
    output = item["output"]
    content = output if isinstance(output, str) else _joined(output)
    sent.append({"role": "tool", "tool_call_id": item["call_id"], "content": content})


_ITEMS: dict[str, Callable[[list[JSON], JSON], None]] = {
    "message": _add_message,
    "function_call": _add_call,
    "function_call_output": _add_output,
}


def _content(parts: Iterable[JSON]) -> str | list[JSON]:
    # A plain text where there is nothing else: some servers take no lists.
    if all(part["type"] in _TEXTS for part in parts):
        return _joined(parts)
    return [_part(part) for part in parts]


def _joined(parts: Iterable[JSON]) -> str:
    if any(part["type"] not in _TEXTS for part in parts):
        raise _refused("This model takes only texts from assistants and tools. Send them as text.")
    return "\n\n".join(_text(part) for part in parts)


def _text(part: JSON) -> str:
    text: str = part["refusal"] if part["type"] == "refusal" else part["text"]
    return text


def _part(part: JSON) -> JSON:
    if part["type"] == "input_image":
        return {"type": "image_url", "image_url": _image(part)}
    if part["type"] == "input_file":
        return {"type": "file", "file": _file(part)}
    return {"type": "text", "text": _text(part)}


def _image(part: JSON) -> JSON:
    if not part.get("image_url"):
        raise _refused("This model takes images only as image_url. Send the image's URL, or a data URL.")
    detail = {"detail": part["detail"]} if part.get("detail") else {}
    return {"url": part["image_url"], **detail}


def _file(part: JSON) -> JSON:
    if not part.get("file_data"):
        raise _refused("This model takes files only as file_data. Send the file's content in the request.")
    name = {"filename": part["filename"]} if part.get("filename") else {}
    return {"file_data": part["file_data"], **name}


def _refused(message: str) -> UpstreamError:
    return UpstreamError(Failure.INVALID_PROMPT, message)
