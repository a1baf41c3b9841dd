"""The contract's own example, as a request body and as a line for the shell."""

import json
import shlex

PATH = "/v1/model/response"
BODY = {
    "model": "gpt-4.1",
    "background": True,
    "inputs": [{"role": "user", "texts": [{"text": "Write a detailed article about AI"}]}],
}


def curl(api_url: str, api_key: str) -> str:
    return " ".join(
        (
            f"curl {api_url}{PATH}",
            f"-H {shlex.quote(f'Authorization: Bearer {api_key}')}",
            "-H 'Content-Type: application/json'",
            f"-d {shlex.quote(json.dumps(BODY))}",
        )
    )
