"""Ways to draw samples: one adapter per inference stack, each behind the port `planner.ports.ports.Backend`.

`replay` needs nothing, `openai`, `transformers` and `vllm` load their package on first use. Import a backend
from its own module, so that nothing is loaded that is not used.
"""
