# Everything from nothing, one line each: `make demo`, `make test`. Another interpreter: `make test PYTHON=python3.12`.
PYTHON ?= python3
VENV := .venv
INSTALL := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e

.PHONY: demo test slow lint bench site
.DELETE_ON_ERROR:

demo: $(VENV)/.installed-demo  ## Train on real solar cells, print the table and where the report lies.
	$(VENV)/bin/realnet demo

# Native inference engines do not get on with everything else in one process: their tests have one of their own.
# The rest runs in two; threads that wait actively would take the other's core.
test: $(VENV)/.installed-test  ## Run the tests.
	OMP_WAIT_POLICY=PASSIVE $(VENV)/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --ignore=tests/export --ignore=tests/cli/test_export.py
	OMP_WAIT_POLICY=PASSIVE $(VENV)/bin/python -m pytest -n 2 --dist loadfile tests/export tests/cli/test_export.py

slow: $(VENV)/.installed-test  ## Run the tests that need minutes each, an hour in all.
	OMP_WAIT_POLICY=PASSIVE $(VENV)/bin/python -m pytest -m slow -n 2 --dist loadfile

bench: $(VENV)/.installed-test  ## Measure speed: make bench DATA=data/mvtec_ad RUN=runs/transistor
	$(VENV)/bin/python -m benchmarks.speed.bench --data $(DATA) --run $(RUN)

lint: $(VENV)/.installed-test  ## Style and types.
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

site: $(VENV)/.installed-test  ## The documentation as a site, in build/site; a warning is an error.
	$(VENV)/bin/python -m mkdocs build --strict -q -d build/site

# The stamps spare the second call the installation; what the package declares or pins makes them old.
$(VENV)/.installed-demo: $(VENV)/.created pyproject.toml constraints.txt
	@echo "Installing into $(VENV); PyTorch is large, so this takes a few minutes."
	@$(INSTALL) '.[demo]'
	@touch $@

$(VENV)/.installed-test: $(VENV)/.created pyproject.toml constraints.txt
	@echo "Installing into $(VENV); PyTorch is large, so this takes a few minutes."
	@$(INSTALL) '.[test,demo,sdas,compare,export,serve,mqtt,modbus,parquet,ray,tensorboard,heic,docs]'
	@touch $(VENV)/.installed-demo $@

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "RealNet needs Python 3.11 or newer, which '$(PYTHON)' is not: name one, as in make demo PYTHON=python3.12." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@
