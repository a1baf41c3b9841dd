"""`python -m app.stack.model_server`: serve the embedded model on loopback until a signal ends the process."""

import argparse
import os
import urllib.parse
from pathlib import Path
from typing import Any

import xllamacpp

from app.stack.model import MODEL_NAME, SLOTS, weights
from app.stack.model_front import Front

CONTEXT_PER_SLOT = 2048
# a model this small seldom finds an end by itself; a request may still ask for more with max_tokens
DEFAULT_MAX_TOKENS = 512
ERRORS_ONLY = 1


def parameters(model: Path, slots: int) -> Any:
    """The parameters of a quiet llama.cpp server with `slots` answers at a time."""
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.model_alias = {MODEL_NAME}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = slots
    params.n_ctx = CONTEXT_PER_SLOT * slots
    params.n_predict = DEFAULT_MAX_TOKENS
    params.cpuparams.n_threads = os.cpu_count() or 1
    params.cpuparams_batch.n_threads = os.cpu_count() or 1
    # without it the model soon says one sentence over and over
    params.sampling.penalty_repeat = 1.1
    params.sampling.penalty_last_n = 256
    # up to 8 GiB of old prompts otherwise
    params.cache_ram_mib = 0
    # no web page of another origin may talk to it
    params.cors_origins = ""
    params.ui = False
    params.verbosity = ERRORS_ONLY
    return params


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--parallel", type=int, default=SLOTS, help="answers written at the same time")
    arguments = parser.parse_args()
    server = xllamacpp.Server(parameters(weights(), arguments.parallel))
    backend = urllib.parse.urlsplit(server.listening_address).port
    assert backend
    # SIGTERM ends the process as it is: it keeps nothing
    Front(arguments.port, backend).serve_forever()


if __name__ == "__main__":
    main()
