# On a fresh machine with Python 3.11+ (venv), git and make; each command sets up .venv first:
#   make reproduce   run every study, end with verdicts and the report's path
#                    one seed (the default) gives directions; SEEDS=stated, the seeds that each study states, verdicts
#   make test        lint, unit and golden tests, notebooks at smoke through the real runner
#                    REQUIRE="workflow slurm browser" fails where tests of these tiers cannot run, instead of skipping them
#   make lab         open JupyterLab at notebook 00
#   make site        report, executed notebooks and docs as web pages in site/
#   make browser     test notebook 00 in headless Chromium
#   make bench       the benchmarks of docs/benchmarks.md, into build/benchmarks; make abuse: a part of docs/robustness.md again
# Without a GPU, keep pip from fetching the CUDA build of torch:
#   make reproduce PIP_OPTIONS="--extra-index-url https://download.pytorch.org/whl/cpu"

PYTHON ?= python3
PIP_OPTIONS ?=
SCALE ?= nano
STUDY ?= all
SEEDS ?= 0
FLAGS ?=
LAB ?=
EXTRAS ?= lab,dev
REQUIRE ?=
BIN := .venv/bin
# Tests of one file stay together, because they share what is slow to make, and the longest files come first
# (conftest.py). Files go to as many processes as there are cores; the slow ones wait for clocks and kills: one process
# more for them.
FILES := --dist loadfile --no-loadscope-reorder
PARALLEL := -n logical --maxprocesses 4 $(FILES)
SLOW := -n $(shell echo $$(( $(shell getconf _NPROCESSORS_ONLN) < 4 ? $(shell getconf _NPROCESSORS_ONLN) + 1 : 5 ))) $(FILES)
# What JupyterLab writes into a notebook that is saved, beside outputs and counts of executions
SAVED := $(addprefix metadata.language_info.,codemirror_mode file_extension mimetype nbconvert_exporter pygments_lexer version)
STAMP := .venv/.oryx-ready-$(EXTRAS)
EVALS := .venv-evals

.PHONY: help setup reproduce lab site evals test unit browser bench abuse weights clean

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

setup: $(STAMP)

$(STAMP): pyproject.toml requirements/constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_OPTIONS) -c requirements/constraints.txt -e ".[$(EXTRAS)]"
	$(BIN)/python -m oryx doctor
	touch $(STAMP)

reproduce: setup
	@echo "One seed gives directions; SEEDS=stated, the seeds that each study states, gives verdicts. Seeds now: $(SEEDS)"
	$(BIN)/python -m oryx run $(STUDY) --scale $(SCALE) --seeds $(SEEDS) $(FLAGS)

site: setup
	$(BIN)/python -m tools.site

# lmms-eval in an environment of its own that also sees the packages of .venv: docs/lmms-eval.md
evals: $(EVALS)/.ready

$(EVALS)/.ready: $(STAMP) requirements/lmms-eval.txt
	test -x $(EVALS)/bin/python || $(BIN)/python -m venv $(EVALS)
	$(BIN)/python -c "import sysconfig; print(f'import site; site.addsitedir({sysconfig.get_path(\"purelib\")!r})')" \
		> $$($(EVALS)/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/project.pth
	$(EVALS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/lmms-eval.txt
	touch $@

lab: setup
	-@git config filter.nbstripout.clean '"$(abspath $(BIN))/python" -m nbstripout --keep-id --extra-keys "$(SAVED)"'
	$(BIN)/jupyter lab notebooks/00_start_here.ipynb --ip=127.0.0.1 $(LAB)

test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/python -m pytest $(PARALLEL) tests/unit tests/golden
	$(BIN)/python -m pytest $(SLOW) tests/notebooks tests/integration $(addprefix --require ,$(REQUIRE))
	$$(test -x $(EVALS)/bin/python && echo $(EVALS) || echo .venv)/bin/python -m pytest $(PARALLEL) tests/evals $(addprefix --require ,$(REQUIRE))
	$(BIN)/python -m pytest tests/browser $(addprefix --require ,$(REQUIRE))  # alone: a page waits for kernel and clicks

unit: setup
	$(BIN)/python -m pytest $(PARALLEL) tests/unit

browser:
	$(MAKE) setup EXTRAS=lab,dev,browser
	$(BIN)/python -m pytest tests/browser --require browser

bench: setup
	$(BIN)/python -m benchmarks --out build/benchmarks

# a study of pictures, of videos, of long videos: a point of all five takes most of a quarter of an hour by itself
ABUSED = native_vs_fixed_resolution,pooling_vs_dynamic_compression,needle_in_a_haystack
abuse: setup  # the counts of docs/robustness.md are of more points and inputs
	$(BIN)/python -m tools.abuse --inputs 2000 --points 1 --studies $(ABUSED) --rounds 10 --runs 20 --folder build/abuse/part

weights: setup
	$(BIN)/python -m oryx.train all --scale $(SCALE) --folder results/runs/shared/$(SCALE)

clean:
	rm -rf .venv $(EVALS) build site *.egg-info .pytest_cache .ruff_cache .hypothesis
