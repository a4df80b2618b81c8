# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # Quickstart
#
# From recorded samples to plans, on the log that ships with the package. Runs as a script or,
# with jupytext, as a notebook. About half a minute.

# %%
from tempfile import mkdtemp

from planner import Budget, Planner
from training import evaluate, train
from training.demo.recorded import embedded_log

N_TRIALS = 60
folder = mkdtemp(prefix="quickstart-")

# %% [markdown]
# ## The log
#
# 400 word problems, a small language model, two ways to answer (`tiny/direct` and `tiny/steps`), many samples
# of each. Near-duplicates share a group and stay on one side of the split.

# %%
log = embedded_log()
train_log, test_log = log.split(test_fraction=0.4, seed=0)
print(log)
counts = log.counts()
for index, name in enumerate(log.generators):
    rate = counts.n_correct[:, index] / counts.n[:, index]
    print(
        f"{name}: a sample is right with {rate.mean():.3f}; {(rate == 0).mean():.0%} of the prompts never are"
    )

# %% [markdown]
# ## Training
#
# Measures every course worth trying, learns which prompts the text makes alike, and deploys what was shown to
# pay out of fold.

# %%
bundle = train(train_log, f"{folder}/policy", n_trials=N_TRIALS, seed=0)
print(bundle.training["verdict"])
print(bundle.training["skill"])

# %% [markdown]
# ## What is it worth?
#
# On prompts that nothing was fitted on, against every baseline. `report.md` in the folder has all tables.

# %%
report = evaluate(bundle, test_log, f"{folder}/report", n_bootstrap=500, seed=0)
print(report.verdict)

# %% [markdown]
# ## Plans
#
# One price for the batch: easy prompts get one sample, prompts on the edge several, and hopeless ones
# the cheapest.

# %%
planner = Planner.load(f"{folder}/policy")
plans = planner.plan(test_log.prompts, budget=Budget(limit=40, unit="output_tokens"))
for prompt, plan in list(zip(test_log.prompts, plans, strict=True))[:8]:
    print(f"{plan.expected_accuracy:.2f}  {plan.expected_cost:6.1f}  {plan.allocation}  <-  {prompt.text}")

# %% [markdown]
# What accuracy does a budget buy, before anything is spent?

# %%
for point in planner.frontier(test_log.prompts, n_points=12):
    print(f"{point.expected_cost:8.1f} output tokens per prompt: {point.expected_accuracy:.3f}")
