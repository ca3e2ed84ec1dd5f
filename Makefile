# `make sweep` and `make test` set up what they need in .venv; nothing else has to be installed
# but make and a Python of at least 3.12. uv is used where it works, venv and pip otherwise.
.PHONY: sweep test slow lint faults parity clean
.DELETE_ON_ERROR:

ENVIRONMENT := .venv
PYTHON := $(ENVIRONMENT)/bin/python
# A worker per core, which takes over tests from another one when it has none left.
ON_ALL_CORES := --numprocesses auto --dist worksteal

sweep: $(ENVIRONMENT)/.installed
	$(PYTHON) -m experiments.shift_sweep --fits crop,squash

test: $(ENVIRONMENT)/.installed-dev
	$(PYTHON) -m pytest $(ON_ALL_CORES)

# Kills, lost processes, full disks: what `make test` leaves out.
slow: $(ENVIRONMENT)/.installed-dev
	$(PYTHON) -m pytest $(ON_ALL_CORES) -m "slow and not many_kills"

lint: $(ENVIRONMENT)/.installed-dev
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m pyright --pythonpath $(PYTHON)

# The fault suite with twenty kills of every experiment instead of two.
faults: $(ENVIRONMENT)/.installed-dev
	$(PYTHON) -m pytest tests/faults -m ""

# The live comparison with PyTorch: installs it first, several gigabytes.
parity: $(ENVIRONMENT)/.installed-torch
	$(PYTHON) -m pytest -m parity

clean:
	rm -rf $(ENVIRONMENT)

# Tools are found by running them: version managers leave stubs that exist and fail.
define new_environment
set -eu; rm -rf $(ENVIRONMENT); \
if uv --version >/dev/null 2>&1; then \
  echo "Setting up $(ENVIRONMENT) with uv ..."; \
  UV_PYTHON_DOWNLOADS=never uv venv --quiet --no-project --python '>=3.12' $(ENVIRONMENT); \
else \
  for candidate in python3 python3.14 python3.13 python3.12 none; do \
    $$candidate -c 'import sys; assert sys.version_info >= (3, 12)' >/dev/null 2>&1 && break; \
  done; \
  if [ $$candidate = none ]; then echo "No Python >= 3.12 runs here; install one first." >&2; exit 2; fi; \
  echo "Setting up $(ENVIRONMENT) with $$($$candidate --version) and pip ..."; \
  $$candidate -m venv $(ENVIRONMENT); \
  $(PYTHON) -m pip install --quiet --upgrade pip; \
fi
endef

define install
if uv --version >/dev/null 2>&1; then uv pip install --quiet --python $(PYTHON) $(1); \
else $(PYTHON) -m pip install --quiet $(1); fi
endef

$(ENVIRONMENT)/.installed: pyproject.toml
	@$(new_environment)
	@echo "Installing jclip and what it needs, a few minutes the first time ..."
	@$(call install,--editable .)
	@touch $@

$(ENVIRONMENT)/.installed-dev: $(ENVIRONMENT)/.installed
	@echo "Installing what the tests need ..."
	@$(call install,--group dev)
	@touch $@

$(ENVIRONMENT)/.installed-torch: $(ENVIRONMENT)/.installed-dev
	@echo "Installing PyTorch, open_clip and peft ..."
	@$(call install,--editable '.[torch]')
	@touch $@
