"""Ways to score or check completions, each behind the port `planner.ports.ports.Verifier`.

Checkers say right or wrong (`exact`, `code_tests`), scores rank (`mean_logprob`, `learned`, `outcome_reward`,
`process_reward`). Import a verifier from its own module, so that nothing is loaded that is not used.
"""
