# `make help` lists the targets.
.DEFAULT_GOAL := help
.PHONY: help setup demo plan experiments replicate test bench clean

PYTHON := python3.11
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
TORCH := $(shell grep -m1 '^torch==' envs/requirements.txt)
# An engine needs about 2 GB: more cores than four at once would be no demo for a laptop.
CORES ?= $(shell n=$$(getconf _NPROCESSORS_ONLN); echo $$((n < 4 ? n : 4)))
# Rich progress where somebody watches, plain lines in a file; the reason of each job is a list of
# files, which hides the rest.
LOGGER := --quiet reason $(shell test -t 2 && echo --logger rich)
DEMO := $(BIN)/snakemake --configfile config/demo.yaml
REPORT := results/demo/report.html
CONFIG ?= config/config.yaml
# Files named on the command line take the place of those of config/replication.yaml.
comma := ,
OWN_LABELS = $(if $(LABELS),'labels=[$(foreach file,$(LABELS),"$(file)"$(comma))]')
OWN_FILES = $(if $(LABELS)$(INFO),--config $(OWN_LABELS) 'prompt_info=$(INFO)')

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 13

setup: $(VENV)/.installed ## make .venv and install the pinned requirements

demo: setup ## set up, run the demo and write its reports
	$(DEMO) --cores $(CORES) $(LOGGER)
	@test -f $(REPORT) && test -z "$$(find results/demo/tables results/demo/figures workflow/report -newer $(REPORT))" \
		|| $(DEMO) --report $(REPORT)
	@sed -n 's:.*<h1>\(.*\)</h1>.*:\1:p' results/demo/stability_report.html
	@echo "The report: results/demo/stability_report.html, and what made each number: $(REPORT)"

plan: setup ## jobs, calls, tokens, GPU-hours and money of CONFIG=config/my.yaml, before they are spent
	@test -f "$(CONFIG)" || { echo "error: $(CONFIG): there is no such file. Hint: make plan CONFIG=config/my.yaml" >&2; exit 1; }
	@$(BIN)/snakemake --configfile $(CONFIG) --cores 1 --quiet all -- plan \
		|| { echo "If it does not say above what is wrong: $(BIN)/snakemake --configfile $(CONFIG) -n" >&2; exit 1; }

experiments: ## list the experiments, targets that any configuration has
	@sed -nE 's/^\| `(\w+)` \| ([^|]+) \| [^|]+ \|$$/\1\t\2/p' docs/experiments.md | expand -t 17
	@echo "As in: source $(BIN)/activate && snakemake --configfile config/demo.yaml --cores 2 compare"
	@echo "What each asks, costs and says: docs/experiments.md"

replicate: setup ## the paper's tables from labels: LABELS="a.csv b.csv" INFO=prompts.csv
	$(if $(LABELS),,@$(BIN)/python workflow/scripts/fetch_published.py > /dev/null)
	$(BIN)/snakemake --configfile config/replication.yaml $(OWN_FILES) --cores $(CORES) $(LOGGER)
	@echo "The paper's numbers beside these: results/replication/tables/replication.csv"

test: setup ## set up, check the code and run every test
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow/rules
	PYTHONPATH=workflow/scripts $(BIN)/lint-imports
	$(BIN)/pytest

bench: setup ## one table of ratios: engines, judging, tables, plans; a quarter of an hour on two cores
	@$(BIN)/python tests/benchmarks/suite.py

clean: ## remove the demo's results
	rm -rf results/demo

# uv installs in a quarter of pip's time. --no-deps because some of vLLM's requirements must stay
# out (envs/overrides.txt); the last install adds the libraries of PyPI's CUDA build of torch
# where that was taken, and does nothing where a CPU build was found.
$(VENV)/.installed: envs/requirements.txt
	@command -v $(PYTHON) > /dev/null || { echo "$(PYTHON) is missing. Hint: install Python 3.11, or name yours: make PYTHON=/path/to/python3.11 setup" >&2; exit 1; }
	@echo "Installing the pinned requirements into $(VENV), a minute or two ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@UV_FIND_LINKS="$$PIP_FIND_LINKS" $(BIN)/uv pip install --quiet --compile-bytecode --no-deps --python $(BIN)/python -r envs/requirements.txt
	@UV_FIND_LINKS="$$PIP_FIND_LINKS" $(BIN)/uv pip install --quiet --python $(BIN)/python $(TORCH)
	@touch $@
