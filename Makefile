# make demo | test | lint | docs | package | house | mutants | clean. The environment is made once, in .venv, and used from there: nothing to activate.
VENV ?= .venv
DEMO_CONFIGS ?= configs/demo.yaml
DEMO_OUT ?= runs/demo
DEMO_ARGS ?=
DEMO_MINUTES ?= 1.5
PYTEST_ARGS ?=
# 40 places drawn with seed 0; `--all` for every change of every core file (days).
MUTANTS_ARGS ?=
# Processes that run tests side by side, a file's tests in one of them; 0 for none beside pytest itself.
TEST_PROCESSES ?= $(shell [ "$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)" -ge 2 ] && echo 2 || echo 0)

PYTHON_IN := $(VENV)/bin/python
INSTALL := $(PYTHON_IN) -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: help install demo test docs lint lint-rules lint-format lint-types package house mutants clean
help:
	@echo "make demo    install, then both jobs on embedded data: few-shot methods compared, and 'metatl transfer' on photos"
	@echo "             (DEMO_ARGS=\"--key value\" and DEMO_MINUTES=1.5 for other sizes)"
	@echo "make test    install with all extras and the peers higher and learn2learn, then run all tests (PYTEST_ARGS=...)"
	@echo "make docs    build the documentation into build/site (opens from the disk: build/site/index.html)"
	@echo "make lint    ruff, ruff format and pyright"
	@echo "make package wheel and sdist into dist/, installed into a fresh environment and tried there"
	@echo "make house   the source in figures: lines by room, what is longest, docstrings with shapes, shared names"
	@echo "make mutants small changes of the core, a few drawn at random, and whether tests notice them (MUTANTS_ARGS=\"--count 40 --seed 0\")"
	@echo "make install what make demo needs, and no more"
	@echo "make clean   remove the environment and caches; runs/ and results/ stay"

install: $(VENV)/.installed

demo: $(VENV)/.installed
	$(VENV)/bin/metatl benchmark $(DEMO_CONFIGS) --out $(DEMO_OUT) $(DEMO_ARGS)
	$(PYTHON_IN) scripts/demo_transfer.py --out $(DEMO_OUT) --minutes $(DEMO_MINUTES) $(DEMO_ARGS)

# A machine without a C compiler leaves no stamp for the peers, so that a later call looks again.
test: $(VENV)/.tests $(VENV)/.peers
	$(PYTHON_IN) -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile $(PYTEST_ARGS)

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(PYTHON_IN) -m mkdocs build --quiet

package: $(VENV)/.installed
	$(PYTHON_IN) scripts/package.py --out dist

house: $(VENV)/.installed
	@$(PYTHON_IN) scripts/house.py

mutants: $(VENV)/.mutants
	OMP_NUM_THREADS=1 $(PYTHON_IN) scripts/mutants.py $(MUTANTS_ARGS)

lint: lint-rules lint-format lint-types
lint-rules: $(VENV)/.tests
	$(VENV)/bin/ruff check --output-format concise .
lint-format: $(VENV)/.tests
	$(VENV)/bin/ruff format --check .
lint-types: $(VENV)/.tests $(VENV)/.docs
	$(VENV)/bin/pyright --pythonpath $(PYTHON_IN)

$(VENV)/.created:
	@sh scripts/make_venv.sh $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.created pyproject.toml constraints.txt
	@echo "metatl: installing torch and the other pinned requirements into $(VENV) (a few minutes the first time)"
	@$(INSTALL) setuptools torch
	@$(INSTALL) --no-build-isolation --editable .
	@touch $@

# What is pinned stands beside the same torch: the constraint keeps a CPU build of it in place.
$(VENV)/.tests: $(VENV)/.installed
	@echo "metatl: installing pytest, ruff, pyright, and the extras for photos, sentences and tables into $(VENV)"
	@$(INSTALL) --no-build-isolation --editable '.[test,vision,text,tables]'
	@touch $@

$(VENV)/.docs: $(VENV)/.installed
	@echo "metatl: installing mkdocs-material and mkdocstrings into $(VENV)"
	@$(INSTALL) --no-build-isolation --editable '.[docs]'
	@touch $@

$(VENV)/.mutants: $(VENV)/.tests
	@echo "metatl: installing cosmic-ray, which makes the mutants, into $(VENV)"
	@$(INSTALL) --no-build-isolation --editable '.[mutants]'
	@touch $@

$(VENV)/.peers: $(VENV)/.installed scripts/install_peers.sh
	@sh scripts/install_peers.sh $(VENV)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
