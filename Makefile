# Two commands matter: `make run` and `make test`. Both make the virtual environment they need.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
PYTEST := OMP_NUM_THREADS=1 $(PY) -m pytest -q --dist loadfile --no-loadscope-reorder
# The engine knows neither databases nor browsers, and collecting its tests takes ten seconds; tests/conftest.py sees to it.
NOT_ENGINE := --ignore=tests/engine

.PHONY: venv run test test-fast test-postgres test-processes lint bench clean

venv: $(STAMP)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; this is $$($(PYTHON) --version). Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(STAMP)

# `exec`: the supervisor takes the shell's place, so that Ctrl-C reaches it and make alone.
run: $(STAMP)
	@exec $(PY) manage.py up

lint: $(STAMP)
	$(PY) -m ruff check .
	$(PY) -m mypy

# Quick tests two at a time; the database's again on PostgreSQL; what kills processes or drives a browser at the end.
# A file stays on one worker; tests/conftest.py says which files begin.
test: $(STAMP)
	@status=0; \
	$(MAKE) --no-print-directory test-fast || status=1; \
	$(MAKE) --no-print-directory test-postgres || status=1; \
	$(MAKE) --no-print-directory test-processes || status=1; \
	exit $$status

test-fast: $(STAMP)
	$(PYTEST) -n 2 -m "not faults and not browser"

test-postgres: $(STAMP)
	NASWEB_TEST_POSTGRES=1 $(PYTEST) $(NOT_ENGINE) -n 2 -m "postgres and not faults and not browser"

test-processes: $(STAMP)
	$(PYTEST) $(NOT_ENGINE) -n 2 -m "faults or browser"

bench: $(STAMP)
	$(PY) -m benchmarks all

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
