# One way to do it: people and CI run the same commands. Every target sets up its own .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Matrices here are small: threads inside a product cost more than they bring.
export OMP_NUM_THREADS ?= 1
# Processes of the tests, each of up to 1.5 GB: files of tests go to whoever is free.
WORKERS ?= 2

.PHONY: demo test check bench docs clean

$(VENV)/.venv:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; set PYTHON=...") if sys.version_info < (3, 11) else None'
	@echo "Set-up: a virtual environment in $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@touch $@

# Compiling what is never imported would take half of the time of this set-up.
$(VENV)/.demo: $(VENV)/.venv pyproject.toml constraints.txt
	@echo "Set-up, part 1 of 2: torch, the largest package"
	$(BIN)/python -m pip install --disable-pip-version-check --no-compile -c constraints.txt "torch==2.13.0"
	@echo "Set-up, part 2 of 2: the planner and what it needs"
	$(BIN)/python -m pip install --disable-pip-version-check --no-compile -c constraints.txt -e ".[train,local]"
	touch $@

$(VENV)/.dev: $(VENV)/.venv pyproject.toml constraints.txt
	@echo "Set-up: torch and the tools; some minutes, once"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt "torch==2.13.0"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[all,dev]"
	touch $@

demo: $(VENV)/.demo  ## train, evaluate and plan on the embedded log; collect, train and run live on the lab model
	$(BIN)/planner demo --out demo/

test: $(VENV)/.dev  ## the fast suite
	$(BIN)/python -m pytest -m "not slow and not gpu" --numprocesses $(WORKERS) --dist loadfile

check: $(VENV)/.dev  ## format, lint, types, import law, doctests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q --doctest-modules difficulty policies planner training -p no:cacheprovider

bench: $(VENV)/.dev  ## measurements, as ratios against a named alternative in one run
	$(BIN)/python -m benchmarks

# pdoc follows a package's __all__, so that modules outside of it must be named: those in the tables of docs/api.md.
docs: $(VENV)/.dev  ## API reference in docs/api
	$(BIN)/pdoc --docformat numpy -o docs/api difficulty policies planner training $$(sed -nE 's/^\| `([a-z_]+\.[a-z_.]+)` .*/\1/p' docs/api.md)

clean:
	rm -rf $(VENV) demo build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
