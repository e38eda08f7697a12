# Sets everything up and runs it. `make help` lists the targets.
#
# Each step leaves a stamp under .venv/stamps and runs again only when what it depends on changes.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

PYTHON ?= python3.11
# Test processes at once; one file stays in one process. Many tests wait for a kernel or a page.
WORKERS ?= 3

VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
STAMPS := $(VENV)/stamps
LOGS := $(VENV)/logs

export PATH := $(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
export PIP_PROGRESS_BAR := off

# Installed first and alone, so that nothing else chooses its build.
TORCH := torch==2.13.0
# Building in the environment itself saves a second one, and lets tests build the wheel offline.
BUILD_TOOLS := 'hatchling>=1.27' 'hatch-jupyter-builder>=0.9,<1' 'editables>=0.5'
# A variable, because a comma would end an argument of $(call).
EVERYTHING := '.[all,dev]'

FRONTEND_SOURCES := $(wildcard extension/package.json extension/yarn.lock extension/tsconfig.json \
	extension/develop.sh) $(shell find extension/src extension/style extension/schema \
	extension/jupyter-config -type f 2>/dev/null)

# Runs a noisy command quietly: $(call quietly,name,command). Its output is shown when it fails.
quietly = mkdir -p $(LOGS); echo "[$(1)]"; \
	$(2) >$(LOGS)/$(1).log 2>&1 </dev/null \
	|| { code=$$?; tail -n 60 $(LOGS)/$(1).log; echo "[$(1)] failed; all of it: $(LOGS)/$(1).log"; exit $$code; }

.PHONY: help setup demo test check clean
help:
	@echo "make demo             set up and open JupyterLab on the demo notebooks"
	@echo "make demo HEADLESS=1  set up and run the same notebooks without a browser"
	@echo "make test             set up, check the sources and run all tests"
	@echo "make check            lint, format, types and import rules only"
	@echo "make setup            set up only"
	@echo "make clean            remove what these make, .venv included"

setup: $(STAMPS)/python $(STAMPS)/bytecode $(STAMPS)/frontend $(STAMPS)/kernelspec $(STAMPS)/data

$(STAMPS)/system: .ci/system-packages
	@mkdir -p $(STAMPS) $(LOGS)
	@PYTHON=$(PYTHON) .ci/system-packages $(LOGS)/system.log
	@touch $@

$(STAMPS)/python: pyproject.toml | $(STAMPS)/system
	@test -x $(VENV)/bin/pip || $(PYTHON) -m venv $(VENV)
	@$(call quietly,torch,$(VENV)/bin/pip install -q $(TORCH))
	@$(call quietly,build-tools,$(VENV)/bin/pip install -q $(BUILD_TOOLS))
	@$(call quietly,packages,$(VENV)/bin/pip install -q --no-build-isolation -e $(EVERYTHING))
	@touch $@

$(STAMPS)/frontend: $(FRONTEND_SOURCES) | $(STAMPS)/python
	@$(call quietly,frontend,bash extension/develop.sh)
	@touch $@

$(STAMPS)/kernelspec: kernel_guard/cloister/sidecar/kernelspec.py | $(STAMPS)/python
	@$(call quietly,kernelspec,$(VENV)/bin/python -m cloister.sidecar.kernelspec --sys-prefix)
	@touch $@

# A kernel cannot write beside the sources, so without this it would compile them at each start.
$(STAMPS)/bytecode: $(shell find kernel_guard dp extension/cloister_lab -name '*.py') | $(STAMPS)/python
	@$(VENV)/bin/python -m compileall -q kernel_guard dp extension/cloister_lab
	@touch $@

$(STAMPS)/data: notebooks/make_data.py | $(STAMPS)/python
	@$(call quietly,data,$(VENV)/bin/python notebooks/make_data.py)
	@touch $@

# Jupyter refuses to serve as root unless told; in a container there is often nobody else.
LAB_AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

# The demo has a workspace of its own, so that it never touches yours.
demo: export CLOISTER_HOME ?= $(CURDIR)/.demo-home
ifdef HEADLESS
demo: setup
	@exec $(VENV)/bin/python notebooks/run_demo.py
else
demo: setup
	@$(VENV)/bin/python notebooks/run_demo.py --prepare
	@echo "Open the URL below in a browser; it holds a token. Stop with Ctrl-C."
	@exec $(VENV)/bin/cloister lab --ip=127.0.0.1 --no-browser $(LAB_AS_ROOT) --notebook-dir=notebooks
endif

check: $(STAMPS)/python
	@.ci/checks

# The tests run even where a check failed, so that one run tells everything. The checks need no
# front end, so they run while it is built.
test: $(STAMPS)/python
	@code=0; .ci/checks & checks=$$!; \
	$(MAKE) setup; \
	wait $$checks || code=$$?; \
	$(VENV)/bin/pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder </dev/null || code=$$?; \
	exit $$code

clean:
	rm -rf $(VENV) dist build notebooks/data .demo-home extension/lib extension/node_modules \
		extension/cloister_lab/labextension extension/tsconfig.tsbuildinfo
