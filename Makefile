# Two commands matter: `make demo` and `make test`. Both set everything up in .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
COMPILED := $(VENV)/.compiled
DEMO_OUT ?= demo

# the tests and what they start import the same files hundreds of times
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-lowest test-slurm petsc gpu-kernels lint bench browser docs figures examples clean
.DEFAULT_GOAL := help

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/'

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "polymgnet needs Python 3.11 or newer, found " + sys.version.split()[0])'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV): some minutes, and 300 MB to fetch where nothing is cached"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt pip  # an old one looks at every wheel there is, for half a minute
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[dev]'
	touch $@

$(COMPILED): $(INSTALLED)
	@$(BIN)/python -m compileall -qq -j 0 -x '/tests/' $(VENV)/lib || true  # as pip does, on every core; some files are templates
	@touch $@

demo: $(COMPILED)  ## what a derived start is worth, on the bundled digits (2 to 4 minutes on 2 cores)
	$(BIN)/polymgnet demo --out $(DEMO_OUT)

test: $(INSTALLED)  ## lint, types and all tests, the sensitive ones under several BLAS kernels
	@$(MAKE) --no-print-directory --jobs 2 lint $(COMPILED)  # mypy keeps one core busy, and needs nothing compiled
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal
	$(BIN)/python tests/kernels.py

test-lowest: $(INSTALLED)  ## all tests with the oldest versions that pyproject.toml allows (some 10 minutes)
	$(PYTHON) -m venv build/lowest
	$(BIN)/python tests/lowest.py > build/lowest.txt
	build/lowest/bin/python -m pip install --quiet --constraint build/lowest.txt --editable '.[dev]'
	OMP_NUM_THREADS=1 build/lowest/bin/python -m pytest -n 2 --dist worksteal

test-slurm: $(INSTALLED)  ## studies on a Slurm of one node, and torchrun (some 10 minutes; installs Debian's Slurm)
	@$(BIN)/python tests/slurm/cluster.py
	TEST_SLURM=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/slurm

petsc: $(INSTALLED)  ## exported smoothers in PETSc against our own cycles (built from PyPI first, in half an hour)
	$(PYTHON) tests/petsc/build.py build/petsc
	OMP_NUM_THREADS=1 PYTHONPATH=. $(BIN)/python tests/petsc/twin.py build/petsc

gpu-kernels: $(INSTALLED)  ## the GPU's kernels without a GPU: compared in Triton's interpreter, compiled for sm_90, a training step's bytes counted (some 10 minutes)
	$(BIN)/python -m pip install --quiet --no-deps --upgrade --target build/triton triton==3.6.0
	TRITON_INTERPRET=1 OMP_NUM_THREADS=1 PYTHONPATH=.:build/triton $(BIN)/python tests/gpu/kernels.py
	PYTHONPATH=.:build/triton $(BIN)/python tests/gpu/kernels.py
	OMP_NUM_THREADS=1 PYTHONPATH=.:build/triton $(BIN)/python benchmarks/traffic.py --models q2

lint: $(INSTALLED)  ## ruff and mypy
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --no-cache --check .
	$(BIN)/mypy

bench: $(INSTALLED)  ## tables of ratios against peers, measured side by side
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,bench]'
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/solve.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/derive.py
	$(BIN)/python benchmarks/train.py

browser: $(INSTALLED)  ## every kind of report page, and the site where it is built, in headless Chromium at three widths (needs a chromium)
	OMP_NUM_THREADS=1 PYTHONPATH=. $(BIN)/python tests/browser.py
	test ! -d build/docs || $(BIN)/python tests/site.py build/docs --browser

docs: $(INSTALLED)  ## the site: tutorials, gallery (the examples run as notebooks), theory, reference, in build/docs
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,docs]'
	mkdir -p build/site
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -c docs -d build/doctrees build/site build/docs
	$(BIN)/python tests/site.py build/docs

figures: $(INSTALLED)  ## draw the figures of docs/theory.md again
	OMP_NUM_THREADS=1 $(BIN)/python -m docs.draw

examples: $(INSTALLED)  ## install what the examples need and run all of them, pictures in build/examples
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,examples]'
	mkdir -p build/examples
	cd build/examples && for file in "$(CURDIR)"/examples/*.py; do \
		echo "== $$(basename "$$file")" && "$(CURDIR)/$(BIN)/python" "$$file" || exit 1; \
	done

clean:  ## remove the environment and everything built
	rm -rf $(VENV) build *.egg-info
