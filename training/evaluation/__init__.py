"""Judge policies on held-out prompts: baselines, comparisons, hindsight and regret."""
