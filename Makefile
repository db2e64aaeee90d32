# Two commands do everything on a fresh clone: `make demo` and `make test`. Each makes its own virtual environment.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
INSTALLED := $(VENV)/installed

.PHONY: demo test test-all check benchmarks clean

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train,dev]'
	touch $(INSTALLED)

# Photo-like scenes -> blurred pairs -> a small DeblurGAN -> restored held-out images, on the CPU, offline.
demo: $(INSTALLED)
	PATH="$(CURDIR)/$(RUN):$$PATH" sh recipes/demo.sh demo

check: $(INSTALLED)
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports

test: check
	$(RUN)/python -m pytest -m "not slow"

# Everything: also fault injection, whole training runs, the built wheel.
test-all: check
	$(RUN)/python -m pytest

benchmarks: $(INSTALLED)
	for script in tests/benchmarks/bench_*.py; do $(RUN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV) demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
