# Two commands do everything on a fresh clone: `make demo` and `make test`. Each makes its own virtual environment.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
INSTALLED := $(VENV)/installed

.PHONY: demo test test-all coverage check docs benchmarks clean

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train,export,dev]'
	touch $(INSTALLED)

# Procedural scenes -> blurred pairs -> a small DeblurGAN on the CPU -> held-out images restored and scored, and QR codes
# read from restored scenes. Offline; run again to go on after an interruption.
demo: $(INSTALLED)
	mkdir -p demo
	$(RUN)/blursynth convolve scenes:200 --size 128 --per-photo 8 --preset deblurgan --length 8:24 --out demo/pairs.zarr
	$(RUN)/blursynth preview demo/pairs.zarr --out demo/pairs.png
	$(RUN)/python -m trainers.run demo --data demo/pairs.zarr --out demo/run
	cp "$$(ls demo/run/sheets/*.png | tail -n 1)" demo/restored.png
	$(RUN)/python -m trainers.evaluate demo/run --data demo/pairs.zarr --split val --protocol gopro-rgb --out demo/scores
	$(RUN)/blursynth convolve scenes:16 --size 448 --seed 1 --out demo/scenes.zarr
	$(RUN)/python -m trainers.detect --place-codes demo/scenes.zarr --out demo/codes --overwrite
	$(RUN)/blursynth convolve demo/codes --size 256 --per-photo 4 --preset deblurgan --length 6:16 --out demo/codes.zarr
	$(RUN)/python -m trainers.detect demo/run --data demo/codes.zarr --split all --out demo/detection
	@echo "Held-out images, blurred, restored and sharp: demo/restored.png; scores: demo/scores, demo/detection"

check: $(INSTALLED)
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports

PYTEST := $(RUN)/python -m pytest -n logical --dist loadgroup --no-loadscope-reorder

test: check
	$(PYTEST) -m "not slow"

# Everything: also fault injection, whole training runs, the built wheel.
test-all: check
	$(PYTEST)

# Which lines and branches the fast tests pass through; those that they miss are printed.
coverage: $(INSTALLED)
	$(PYTEST) -m "not slow" --cov --cov-report=term

# The pages of docs/ and the API reference, as HTML that needs no network: build/docs/index.html.
docs: $(INSTALLED)
	$(RUN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	$(RUN)/python -m sphinx --quiet --fail-on-warning --keep-going docs build/docs

benchmarks: $(INSTALLED)
	for script in tests/benchmarks/bench_*.py; do $(RUN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV) demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
