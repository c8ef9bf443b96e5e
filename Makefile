# `make demo` and `make test` are all a newcomer needs: each sets up what it uses.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: setup demo test check lint types imports docs bench fuzz pictures faults audit lock clean

setup: $(READY)  ## .venv with the package and its pinned dependencies

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'Fortnight needs Python 3.11 or newer; name one with make PYTHON=python3.11'; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

demo: setup  ## a whole two-week trial in the sandbox, to the verdict and the report
	$(BIN)/fortnight demo

test: setup  ## the test suite, a file at a time on each core; no network needed
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

check: setup lint types imports docs  ## everything but the tests

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy

imports:
	$(BIN)/lint-imports

docs:
	$(BIN)/python -m docs.build --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: setup  ## speed and scale, as ratios within one run
	$(BIN)/python -m benchmarks

fuzz: setup  ## ten minutes of coverage-guided fuzzing over every parser
	$(BIN)/python -m pip install --quiet atheris
	$(BIN)/python -m fuzz

faults: setup  ## every failure that can be injected here, and what survived it; about nine minutes
	$(BIN)/python -m faults

# In an environment of their own: what checks the dependencies is none of them.
.venv/tools/%: | $(READY)
	test -x .venv/tools/bin/python || $(BIN)/python -m venv .venv/tools
	.venv/tools/bin/python -m pip install --quiet $*
	@touch $@

audit: .venv/tools/pip-audit  ## known vulnerabilities of the pinned versions; a version that cannot be looked up fails it too
	.venv/tools/bin/pip-audit --strict --disable-pip --no-deps --requirement constraints.txt

lock: .venv/tools/uv  ## requirements.lock from constraints.txt: the same versions with the hashes of their files
	.venv/tools/bin/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11 \
	  --extra sandbox --extra pdf --extra postgres --extra dask --extra prices --constraint constraints.txt pyproject.toml \
	  --output-file requirements.lock

pictures: setup  ## the pictures in the README, from the demo's own report and MLflow
	$(BIN)/python -m docs.pictures

clean:
	rm -rf .venv site fortnight-demo
