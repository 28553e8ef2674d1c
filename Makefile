# Everything goes through scripts/run.py, which needs any Python 3.6 or newer and finds the rest by itself.
# The first of these that really runs: a pyenv shim may be on PATH and only answer "not installed".
PYTHON := $(shell for p in python3 python /usr/bin/python3 /usr/local/bin/python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 6))' >/dev/null 2>&1 && echo $$p && break; done)
RUN = $(if $(PYTHON),$(PYTHON),$(error This needs Python: install python3 (3.12 or newer is best, e.g. apt install python3))) scripts/run.py
ROUNDS ?= 200
SEEDS ?=

.PHONY: help demo demo-ray test test-all soak bench lock format docs

help:  ## what make can do
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

demo:  ## the whole way on a local backend: photos are planned, uploaded, labelled, exported as COCO and YOLO, shown
	@$(RUN) demo

demo-ray:  ## the same on a real Ray of this machine: submitted, stopped, killed, finished; needs 2 GB of memory and of disk
	@$(RUN) demo_ray

test:  ## lint, types, rooms, tests
	@$(RUN) test

test-all:  ## also the heavy tests, and the suite on the oldest synapse-sdk that we accept
	@$(RUN) test --all

soak:  ## test-all with 200 rounds of the seeded tests, an hour or two (ROUNDS=200; or SEEDS=7,100-199 alone)
	@$(if $(SEEDS),SYNAPSE_SKILLS_SEEDS=$(SEEDS) $(RUN) test --only heavy tests/job/test_soak.py tests/job/export/test_export_soak.py,\
		$(RUN) test --all --rounds $(ROUNDS))

# The Python of the development environment, as the tests have it: other converters and readers are compared with.
BENCH_PYTHON = $(shell $(PYTHON) -c "import sys; sys.path.insert(0, 'scripts'); from launcher.environments import environment; print(environment('dev'))")
BENCHMARKS ?= metadata walk upload memory_upload conversion export memory_export

bench:  ## time everything beside what people do without it (BENCHMARKS="walk upload"); best on a machine that does nothing else
	@python=$(BENCH_PYTHON) && for each in $(BENCHMARKS); do $$python benchmarks/$$each.py || exit 1; done

docs:  ## make the references of keys, filters and formats from the code
	@$(RUN) plan_upload --keys > .keys.md && mv .keys.md skills/synapse-upload-workflow/references/keys.md
	@for page in keys filters formats; do \
		$(RUN) plan_export --keys $$page > .keys.md && mv .keys.md skills/synapse-export-workflow/references/$$page.md; done

format:  ## let ruff mend what it can
	@$(RUN) format

# The locks, from pyproject.toml; needs uv and the network. After a change of dependencies, or to move to newer versions:
# `make lock UPGRADE=--upgrade`. All agree: the others are made with requirements.lock as a constraint. The uv lock is
# what installs the others where no uv is found. The oldest lock is the development lock with synapse-sdk at the minimum that pyproject.toml names.
UV ?= uv
UPGRADE ?=
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.12 --generate-hashes --no-annotate \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(UPGRADE)
MINIMUM = $(shell sed -n 's/^ *"synapse-sdk>=\([0-9.]*\)",/\1/p' pyproject.toml)

lock:  ## make the requirements*.lock files from pyproject.toml (needs uv)
	$(COMPILE) pyproject.toml -o requirements.lock
	$(COMPILE) pyproject.toml --extra ray -c requirements.lock -o requirements-ray.lock
	$(COMPILE) pyproject.toml --extra dev -c requirements.lock -o requirements-dev.lock
	echo "synapse-sdk==$(MINIMUM)" | $(COMPILE) pyproject.toml - --extra dev -o requirements-oldest.lock
	echo uv | $(COMPILE) - -c requirements-dev.lock -o requirements-uv.lock
