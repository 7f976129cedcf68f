# Everything needs only Python >= 3.11 and make: the environment in .venv is made, and kept up to date, by itself.
# Where packages come from is pip's own configuration; which versions, constraints.txt.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.up-to-date
# More for the program beneath: make demo ARGS="--output json", make unit ARGS="-k loans".
ARGS ?=
# Processes that tests run in.
JOBS ?= 2
CRDS := charts/tidegate/files/crds
RULES := charts/tidegate/files/rules.yaml

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo picture test lint types contracts generated unit test-cluster test-cluster-long bench crds rbac docs format \
        constraints venv clean

help: ## Show what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name what; do \
	  printf '%-26s%s\n' "$$name" "$$what"; done

demo: $(STAMP) ## Double 11, 2019, on an embedded cluster in this terminal: Tidegate beside a plain HPA
	@$(BIN)/tidegate demo $(ARGS)

picture: $(STAMP) ## The README's picture: the demonstration's result, drawn anew
	@$(BIN)/tidegate demo --picture docs/pictures/double-11.svg $(ARGS)

test: lint types contracts generated unit ## The gate: lint, types, import contracts, generated files, tests

lint: $(STAMP) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP) ## mypy, strict
	$(BIN)/mypy

contracts: $(STAMP) ## Which room may import which
	$(BIN)/lint-imports

generated: $(STAMP) ## What is generated is what would be generated now
	$(BIN)/tidegate crds --check $(CRDS)
	$(BIN)/tidegate rbac --check $(RULES)
	$(BIN)/python tests/api/bad_inputs.py --check
	$(BIN)/python docs/generate.py --check

# Without KUBECONFIG: a cluster that happens to be configured is nothing that a test may write to unasked.
unit: $(STAMP) ## Tests that need no cluster
	env -u KUBECONFIG $(BIN)/pytest -q -n $(JOBS) $(ARGS)

test-cluster: $(STAMP) ## Tests against the API server that KUBECONFIG points to (they write to it)
	@test -n "$$KUBECONFIG" || { echo "make $@: set KUBECONFIG to the cluster to test against" >&2; exit 2; }
	$(BIN)/pytest -q -m "cluster and not long" $(ARGS)

test-cluster-long: $(STAMP) ## Those that take longer than twenty minutes
	@test -n "$$KUBECONFIG" || { echo "make $@: set KUBECONFIG to the cluster to test against" >&2; exit 2; }
	$(BIN)/pytest -q -m "cluster and long" $(ARGS)

bench: $(STAMP) ## How the planner scales: figures, not tests
	@for events in 1000 10000 60000; do echo "$$events events, 500 workloads"; \
	  $(BIN)/python bench/plan_scale.py --events $$events --workloads 500 $(ARGS) || exit 1; done

crds: $(STAMP) ## Generate the CustomResourceDefinitions anew
	$(BIN)/tidegate crds --write $(CRDS)

rbac: $(STAMP) ## Generate the chart's RBAC rules anew
	$(BIN)/tidegate rbac --write $(RULES)

docs: $(STAMP) ## Generate the reference pages anew
	$(BIN)/python tests/api/bad_inputs.py
	$(BIN)/python docs/generate.py

format: $(STAMP) ## Repair what ruff can repair
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

constraints: $(STAMP) ## Take the newest versions that pyproject.toml allows into constraints.txt
	$(BIN)/pip install --quiet --upgrade --upgrade-strategy eager -e '.[dev]'
	$(BIN)/pip freeze --exclude-editable | grep -E '^[A-Za-z0-9._-]+==[^ ]+$$' > constraints.txt
	@touch $(STAMP)

venv: $(STAMP) ## Make or update the environment

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Tidegate needs Python 3.11 or later; this is " \
	  + sys.version.split()[0] + ". Say which: make PYTHON=python3.12 ...")'
	@echo "Installing into $(VENV) (a minute or two, once)" >&2
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

clean: ## Remove the environment and what tools left behind
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
