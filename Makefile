# Everything needs only Python >= 3.11 and make: the environment in .venv is made, and kept up to date, by itself.
# Where packages come from is pip's own configuration; which versions, constraints.txt.
#
# The ground (Pulumi components, and the rules that their programs keep) has two more, .venv-stacks and .venv-policies:
# Pulumi is large, and pulumi-policy holds protobuf back at 5. What they hold beside what constraints.txt names is pinned in
# constraints-stacks.txt and constraints-policies.txt. `make mutants` has .venv-mutants, with constraints-mutants.txt.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.up-to-date
GROUND := stacks policies
EXTRAS := $(GROUND) mutants
STACKS := .venv-stacks/bin
POLICIES := .venv-policies/bin
# Of what pip freeze says: packages of an index, not what is installed from a folder.
PINNED := grep -E '^[A-Za-z0-9._-]+==[^ ]+$$'
# More for the program beneath: make demo ARGS="--output json", make unit ARGS="-k loans".
ARGS ?=
# Processes that tests run in.
JOBS ?= 2
# Files of tests/cluster with a target of their own, each on another kind of cluster.
ALONE := lending policies projects pulumi shift shift_disturbed stacks
CRDS := charts/tidegate/files/crds
RULES := charts/tidegate/files/rules.yaml

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo demo-night ground picture picture-night test lint types contracts generated unit test-ground test-stacks \
        test-policies test-upgrade test-cluster test-cluster-long test-cluster-ground test-cluster-projects test-cluster-shift bench mutants faults accept crds rbac docs docs-ground format constraints venv \
        venvs clean

help: ## Show what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name what; do \
	  printf '%-32s%s\n' "$$name" "$$what"; done

demo: $(STAMP) ## Double 11, 2019, on an embedded cluster in this terminal: Tidegate beside a plain HPA
	@$(BIN)/tidegate demo $(ARGS)

demo-night: $(STAMP) ## The night after it: trading and data processing share forty machines
	@$(BIN)/tidegate demo --scenario night $(ARGS)

picture: $(STAMP) ## The README's picture: the demonstration's result, drawn anew
	@$(BIN)/tidegate demo --picture docs/pictures/double-11.svg $(ARGS)
	@$(BIN)/python docs/pictures/midnight.py

picture-night: $(STAMP) ## The same of the night
	@$(BIN)/tidegate demo --scenario night --picture docs/pictures/night.svg $(ARGS)

ground: .venv-stacks/.up-to-date ## What pulumi up would make, without engine or cluster; ARGS="--project cdn --settings prod"
	@$(STACKS)/python -m tidegate_stacks.show $(ARGS)

test: lint types contracts generated unit ## The gate: lint, types, import contracts, generated files, tests

lint: $(STAMP) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP) ## mypy, strict
	$(BIN)/mypy
	MYPYPATH=bench $(BIN)/mypy bench/*.py

contracts: $(STAMP) ## Which room may import which
	$(BIN)/lint-imports

generated: $(STAMP) ## What is generated is what would be generated now
	$(BIN)/tidegate crds --check $(CRDS)
	$(BIN)/tidegate rbac --check $(RULES)
	$(BIN)/python tests/api/bad_inputs.py --check
	$(BIN)/python docs/generate.py --check
	$(BIN)/python docs/pictures/architecture.py --check
	$(BIN)/python docs/pictures/terminal.py --check
	$(BIN)/python docs/pictures/midnight.py --check

# Without KUBECONFIG: a cluster that happens to be configured is nothing that a test may write to unasked.
unit: $(STAMP) ## Tests that need no cluster
	env -u KUBECONFIG $(BIN)/pytest -q -n $(JOBS) --ignore=tests/cluster/test_cluster_quickstart.py $(ARGS)

test-ground: test-stacks test-policies ## The gate of stacks/ and policies/: types and tests, with Pulumi

test-stacks: .venv-stacks/.up-to-date ## Components: types and tests
	$(STACKS)/mypy --cache-dir .mypy_cache/stacks -p tidegate_stacks
	for program in stacks/*/__main__.py; do $(STACKS)/mypy --cache-dir .mypy_cache/stacks $$program || exit 1; done
	for script in stacks/*.py; do $(STACKS)/mypy --cache-dir .mypy_cache/stacks $$script || exit 1; done
	$(STACKS)/python stacks/settings.py --check
	$(STACKS)/python stacks/kinds.py --check
	env -u KUBECONFIG $(STACKS)/pytest -q -n $(JOBS) --dist loadfile -m "not long" $(ARGS) tests/stacks

test-policies: .venv-policies/.up-to-date ## Rules: types and tests, in the real policy runtime too
	$(POLICIES)/mypy --cache-dir .mypy_cache/policies policies/pack/__main__.py
	env -u KUBECONFIG $(POLICIES)/pytest -q -n $(JOBS) $(ARGS) tests/policies

# The version before the loop took what is there: its Loans, its CRDs, its code.
test-upgrade: OLD := a846aa5
test-upgrade: $(STAMP) ## This version over the Loans of the one before in mid-event, and back (needs its commit)
	@if git cat-file -e $(OLD)^{commit} 2>/dev/null; then \
	  tree=$$(mktemp -d) && trap 'rm -rf "$$tree"' EXIT && git archive $(OLD) operator | tar -x -C "$$tree" && \
	  env -u KUBECONFIG TIDEGATE_TEST_OLD_TREE="$$tree/operator" $(BIN)/pytest -q $(ARGS) tests/upgrade; \
	else echo "make $@: skipped, this clone does not hold commit $(OLD) (a shallow one: git fetch --unshallow)" >&2; fi

test-cluster: $(STAMP) ## Tests against the API server that KUBECONFIG points to (they write to it)
	@test -n "$$KUBECONFIG" || { echo "make $@: set KUBECONFIG to the cluster to test against" >&2; exit 2; }
	$(BIN)/pytest -q -m "cluster and not long" $(ALONE:%=--ignore=tests/cluster/test_cluster_%.py) $(ARGS) tests/cluster

test-cluster-shift: SCENES ?= shift lending
test-cluster-shift: $(STAMP) ## The capacity shift, on a control plane of its own and with nothing beside it: a quarter of an hour
	@test -n "$$TIDEGATE_TEST_SHIFT_KUBECONFIG" || { \
	  echo "make $@: set TIDEGATE_TEST_SHIFT_KUBECONFIG, and what CONTRIBUTING.md names beside it" >&2; exit 2; }
	$(BIN)/pytest -q $(ARGS) $(SCENES:%=tests/cluster/test_cluster_%.py)

test-cluster-long: $(STAMP) ## Those that take long, or cost the cluster something
	@test -n "$$KUBECONFIG" || { echo "make $@: set KUBECONFIG to the cluster to test against" >&2; exit 2; }
	$(BIN)/pytest -q -m "cluster and long" $(ARGS)

test-cluster-ground: .venv-stacks/.up-to-date .venv-policies/.up-to-date ## The ground on that server: every object strictly, and a real Pulumi engine
	@test -n "$$KUBECONFIG" || { echo "make $@: set KUBECONFIG to the cluster to test against" >&2; exit 2; }
	$(STACKS)/pytest -q $(ARGS) tests/cluster/test_cluster_stacks.py tests/cluster/test_cluster_pulumi.py \
	  tests/cluster/test_cluster_policies.py

test-cluster-projects: .venv-stacks/.up-to-date ## Every project, and fifty sites, by a real Pulumi engine on that server: six minutes
	@test -n "$$KUBECONFIG" || { echo "make $@: set KUBECONFIG to the cluster to test against" >&2; exit 2; }
	$(STACKS)/pytest -q $(ARGS) tests/cluster/test_cluster_projects.py

bench: $(STAMP) ## How the planner scales: figures, not tests
	@for events in 1000 10000 60000; do echo "$$events events, 500 workloads"; \
	  $(BIN)/python bench/plan_scale.py --events $$events --workloads 500 $(ARGS) || exit 1; done

mutants: .venv-mutants/.up-to-date ## How many small faults in the code its tests find; ARGS="--room control --sample 40"
	@.venv-mutants/bin/python bench/mutants.py --jobs $(JOBS) $(ARGS)

faults: $(STAMP) ## Fault runs: the operator through random faults, judged; ARGS="--runs 200 --seed 1"
	@$(BIN)/python tests/faults/run.py $(ARGS)

accept: $(STAMP) .venv-stacks/.up-to-date ## What takes hours: 3,000 fault runs, ten thousand recurrence rules beside an expansion by hand, 500 worlds whose leader dies, 2,000 days foreseen, 100 of them beside the real loop, a cache under load
	$(BIN)/python tests/api/rules_by_hand.py --rules 10000
	$(BIN)/python tests/shell/survival.py --worlds 500
	$(BIN)/python tests/planning/foresight.py --worlds 2000
	$(BIN)/python tests/control/looped.py --worlds 100
	env -u KUBECONFIG $(STACKS)/pytest -q -m long tests/stacks
	$(STACKS)/python bench/cache_load.py
	for series in 1 2 3; do $(BIN)/python tests/faults/run.py --runs 1000 --seed $$series --jobs $(JOBS) --tell || failed=1; done; test -z "$$failed"

crds: $(STAMP) ## Generate the CustomResourceDefinitions anew
	$(BIN)/tidegate crds --write $(CRDS)

rbac: $(STAMP) ## Generate the chart's RBAC rules anew
	$(BIN)/tidegate rbac --write $(RULES)

docs: $(STAMP) ## Generate the reference pages anew
	$(BIN)/python tests/api/bad_inputs.py
	$(BIN)/python docs/generate.py

docs-ground: .venv-stacks/.up-to-date ## Generate anew what derives from the stacks: the page of their settings, the types of their objects
	$(STACKS)/python stacks/kinds.py
	$(STACKS)/python stacks/settings.py

format: $(STAMP) ## Repair what ruff can repair
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

constraints: venvs .venv-mutants/.up-to-date ## Take the newest versions that pyproject.toml allows into constraints.txt and its companions
	$(BIN)/pip install --quiet --upgrade --upgrade-strategy eager -e '.[dev]'
	$(BIN)/pip freeze --exclude-editable | $(PINNED) > constraints.txt
	for extra in $(EXTRAS); do \
	  .venv-$$extra/bin/pip install --quiet --upgrade --upgrade-strategy eager -c constraints.txt -e ".[dev,$$extra]" && \
	  .venv-$$extra/bin/pip freeze --exclude-editable | $(PINNED) | grep -vxFf constraints.txt \
	    > constraints-$$extra.txt || exit 1; done
	@touch $(STAMP) $(EXTRAS:%=.venv-%/.up-to-date)

venv: $(STAMP) ## Make or update the environment

venvs: $(STAMP) $(GROUND:%=.venv-%/.up-to-date) ## The ground's environments too

$(STAMP): pyproject.toml constraints.txt
	$(call install,$(VENV),dev)

.venv-%/.up-to-date: pyproject.toml constraints.txt constraints-%.txt
	$(call install,.venv-$*,dev$(COMMA)$*,--no-compile)

COMMA := ,

# Python compiles what is imported when it is: compiling all of these packages beforehand takes 16 s of processor time each.
define install # FOLDER,EXTRAS,OPTION
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Tidegate needs Python 3.11 or later; this is " \
	  + sys.version.split()[0] + ". Say which: make PYTHON=python3.12 ...")'
	@echo "Installing into $(1) (a minute or two, once)" >&2
	@$(PYTHON) -m venv $(1)
	@$(1)/bin/pip install --quiet $(3) $(patsubst %,-c %,$(filter %.txt,$^)) -e '.[$(2)]'
	@touch $@
endef

clean: ## Remove the environments and what tools left behind
	rm -rf $(VENV) $(EXTRAS:%=.venv-%) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# ---- what a stranger types first

ALONE += quickstart
# What `make check` leaves to `make test`: tests of tests/planning that take long, and the wheel.
SLOW := house/test_house_wheel.py planning/test_foresee*.py planning/test_plan_coupled.py planning/test_plan_pool_late.py \
        planning/test_plan_promises.py planning/test_plan_row.py planning/test_plan_standing.py planning/test_planner_*.py \
        planning/test_shift_*.py
# Where `make cluster` keeps its kubeconfig and logs.
CLUSTER := build/cluster
LOCAL_CLUSTER := tests/cluster/local_cluster.py

.PHONY: check quick shell cluster cluster-down image run picture-architecture picture-terminal test-cluster-quickstart

picture-architecture: $(STAMP) ## How the parts hang together, in light and dark
	@$(BIN)/python docs/pictures/architecture.py

picture-terminal: $(STAMP) ## The README's moving picture, from the transcripts in docs/demo.md
	@$(BIN)/python docs/pictures/terminal.py

shell: $(STAMP) ## A shell with tidegate on PATH; ends with exit
	@echo "tidegate is on PATH here; exit ends this shell. Or, in a shell of your own: . $(BIN)/activate" >&2
	@PATH="$(CURDIR)/$(BIN):$$PATH" VIRTUAL_ENV="$(CURDIR)/$(VENV)" "$${SHELL:-/bin/sh}" || true

cluster: ## A cluster for trying things out: kind or k3d where Docker is, else control-plane programs on PATH
	@$(PYTHON) $(LOCAL_CLUSTER) up --dir $(CLUSTER) $(ARGS)

cluster-down: ## End it
	@$(PYTHON) $(LOCAL_CLUSTER) down --dir $(CLUSTER)

image: ## The operator's image by Docker, made known to the cluster of `make cluster`
	docker build --tag tidegate:0.1.0 .
	@$(PYTHON) $(LOCAL_CLUSTER) load --dir $(CLUSTER) --image tidegate:0.1.0

run: $(STAMP) ## The operator from this clone, on KUBECONFIG's cluster, as the account that the chart made for it
	@$(PYTHON) $(LOCAL_CLUSTER) account --dir $(CLUSTER)
	@KUBECONFIG=$(CLUSTER)/operator.kubeconfig $(BIN)/kopf run -m tidegate.shell.app --standalone --all-namespaces $(ARGS)

check: $(STAMP) ## What fails soonest: lint, types, contracts, generated files, quick tests; under 90 s
	@$(MAKE) --no-print-directory --output-sync=target --jobs=2 lint quick types contracts generated

quick: $(STAMP) ## Tests of the API, the adapters, the pages and the most of the planner
	env -u KUBECONFIG $(BIN)/pytest -q -n $(JOBS) $(SLOW:%=--ignore-glob='tests/%') $(ARGS) tests/house tests/api tests/targets tests/planning

test-cluster-quickstart: $(STAMP) ## The quick start as the README says it, on a cluster of its own that it makes and ends
	$(BIN)/pytest -q $(ARGS) tests/cluster/test_cluster_quickstart.py
