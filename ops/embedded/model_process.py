"""The local model's own process: ``python model_process.py WEIGHTS PORT NAME``, run by its path."""

from __future__ import annotations

import signal
import sys

from xllamacpp.xllamacpp import CommonParams, CommonParamsSampling, Server

CONTEXT = 8192
"""The context size in tokens, shared by concurrent runs."""
AT_ONCE = 4
LONGEST = 256
"""The most tokens of an answer, unless the request sets more. A small model may not end its answer by itself."""
TEMPLATE = """\
{% for message in messages %}<|im_start|>{{ message['role'] }}
{{ message['content'] }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
"""The model's own format without its default system message, which makes it answer in bad French."""


def main(weights: str, port: int, name: str) -> None:
    """Serve until SIGTERM."""
    server = Server(_parameters(weights, port, name))
    sys.stdout.write(f"listening at {server.listening_address}\n")
    sys.stdout.flush()
    signal.pause()


def _parameters(weights: str, port: int, name: str) -> CommonParams:
    parameters = CommonParams()
    parameters.model.path = weights
    parameters.model_alias = {name}
    parameters.chat_template = TEMPLATE
    _bound(parameters, port)
    _sized(parameters)
    _sampled(parameters.sampling)
    return parameters


def _bound(parameters: CommonParams, port: int) -> None:
    """Bind to loopback, serve only the API, download nothing, and log only errors."""
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.cors_origins = ""
    parameters.ui = False
    parameters.endpoint_slots = False
    parameters.offline = True
    parameters.verbosity = 1


def _sized(parameters: CommonParams) -> None:
    """Use one compute thread: the platform needs the other cores more."""
    parameters.cpuparams.n_threads = 1
    parameters.cpuparams_batch.n_threads = 1
    parameters.n_threads_http = AT_ONCE
    parameters.n_parallel = AT_ONCE
    parameters.n_ctx = CONTEXT
    parameters.kv_unified = True
    parameters.fit_params = False
    parameters.cache_ram_mib = 0
    parameters.n_predict = LONGEST


def _sampled(sampling: CommonParamsSampling) -> None:
    """Sample greedily: random sampling makes this small model worse. DRY ends loops. A request may override both."""
    sampling.temp = 0.0
    sampling.penalty_repeat = 1.0
    sampling.dry_multiplier = 0.8


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
