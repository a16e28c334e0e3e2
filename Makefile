# `make demo` and `make test` work in a fresh clone: they make .venv, install, and go on without questions.
# Nothing is installed outside .venv, but for the model files' cache (see `d3pose models`).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
OUT ?= out/demo
# One argument: a comma in the text would end it.
say = @printf '\n\033[1m== %s\033[0m\n' $(1)

# Two torch or OpenMP threads that spin on a busy machine are many times slower than one.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help demo test lint audit install clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "PYTHON=python3.12 picks the interpreter, OUT=folder where the demo writes."
	@echo "On Linux, PyPI's torch is the CUDA build, a download of several GB. For the CPU build, give pip"
	@echo "PyTorch's CPU index (pytorch.org, \"Get started\", names it) in PIP_EXTRA_INDEX_URL."

demo: $(VENV)/.installed  ## install, fetch the model files, run the demo; results in out/demo
	$(call say,"Model files")
	$(BIN)/d3pose models fetch
	$(call say,"Demo: a clip through a real ROS graph; results in $(OUT)")
	$(BIN)/d3pose demo --out $(OUT)

test: $(VENV)/.installed-dev  ## install, fetch the model files, run all tests
	$(call say,"Model files")
	$(BIN)/d3pose models fetch
	$(call say,"Tests")
	$(BIN)/python -m pytest

lint: $(VENV)/.installed-dev  ## ruff (style and errors) and mypy (types)
	$(call say,"Style")
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(call say,"Types")
	$(BIN)/mypy

audit: $(VENV)/.installed  ## known vulnerabilities of what is installed, by pip-audit
	$(call say,"Audit of the dependencies")
	$(PIP) install --quiet --progress-bar off "pip-audit>=2.7"
	$(BIN)/python tools/audit.py

install: $(VENV)/.installed  ## only install

clean:  ## remove .venv, build folders and results
	rm -rf $(VENV) build install log out *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis

# What the compiled messages and the installed metadata depend on. Python modules are used in place
# (`pip install --editable`), so that a change of theirs needs no new installation.
BUILD_INPUTS := pyproject.toml setup.py CMakeLists.txt package.xml constraints.txt $(wildcard msg/*.msg) \
	$(wildcard cmake/* cmake/*/* cmake/*/msg/* config/* launch/* scripts/*)

$(VENV)/.created:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "$(PYTHON) was not found: sudo apt-get install python3 python3-venv, or make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 10) or sys.exit( \
	  f"$(PYTHON) is Python {v[0]}.{v[1]}; 3.10 or newer is needed: make PYTHON=python3.11 ...")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments: sudo apt-get install python3-venv"; exit 1; }
	@command -v c++ >/dev/null || command -v g++ >/dev/null || { \
	  echo "A C++ compiler is needed for the ROS messages: sudo apt-get install g++"; exit 1; }
	$(call say,"Virtual environment in $(VENV)")
	$(PYTHON) -m venv $(VENV)
	@touch $@

# Without build isolation, pip builds with the ROS wheels in .venv instead of installing all of them a
# second time into a temporary folder.
$(VENV)/.build-requirements: pyproject.toml constraints.txt | $(VENV)/.created
	$(call say,"Build requirements: CMake and the ROS message generators")
	$(PIP) install --quiet --progress-bar off $$($(BIN)/python tools/build_requirements.py)
	@touch $@

$(VENV)/.installed: $(BUILD_INPUTS) | $(VENV)/.build-requirements
	$(call say,"Requirements and the ROS messages: torch and the ROS wheels are large; a few minutes")
	$(PIP) install --progress-bar off --no-build-isolation -c constraints.txt --editable .
	@touch $@

# timm asks for torchvision, which the image variant has no use for.
$(VENV)/.installed-dev: $(VENV)/.installed
	$(call say,"Test and lint tools")
	$(PIP) install --quiet --progress-bar off --no-build-isolation -c constraints.txt \
	  $$($(BIN)/python tools/build_requirements.py --extra dev)
	$(PIP) install --quiet --progress-bar off --no-deps "timm>=1.0"
	@touch $@
