# Every target starts from .venv; `make setup` brings it up to date, and is done at once when it is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LAB_SETTINGS := $(VENV)/share/jupyter/lab/settings

# make report [NAME=system/scenario]: without a name, the case in the README.
NAME ?=
SCENARIOS ?= arc/sqlite_connections arc/auth_cache arc/health_check
INPUTS ?= 10000
NOTEBOOK ?= notebooks/23_arc.ipynb
# make capture [NAME=…] [ARGS='--profile full --seed 7']
ARGS ?=

FRESH := $(CURDIR)/build/captures
REPORTS := build/reports

# tests/conftest.py says which tests a worker takes.
TESTS := $(BIN)/python -m pytest -n 2

# The environment is .venv alone, whatever the shell carries along. Without compiled files on the
# disk each of the many processes that the tests start would compile the package anew.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV PYTHONDONTWRITEBYTECODE

.PHONY: help setup lab report test test-all fuzz lint test-browser browser allocators capture claims share site notebooks docs images plotly dist bench clean
.DELETE_ON_ERROR:

# pip knows dependency groups from 25.1 on. Without uv's own pin, which may be why uv failed.
WITH_PIP = $(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1' \
  && grep -v '^uv=' constraints.txt > $(VENV)/constraints.txt \
  && $(BIN)/python -m pip install --quiet -c $(VENV)/constraints.txt -e '.[all]' --group dev --group docs

help: ## Say what there is
	@sed -n 's/^\([a-z-]*\):[^#]*## /  make \1\t/p' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv with everything in it

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is older than 3.11; choose another one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; \
	  exit 1; }
	@$(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@echo 'Setting up $(VENV) …'
	@$(BIN)/python -m pip install --quiet -c constraints.txt uv \
	  && $(BIN)/uv pip install --quiet --compile-bytecode --system-certs --python $(BIN)/python -c constraints.txt -e '.[all]' --group dev --group docs \
	  || { echo 'uv does not work here; going on with pip, which takes longer' >&2; $(WITH_PIP); }
	@test -e $(VENV)/share/jupyter/kernels/python3/kernel.json \
	  || $(BIN)/python -m ipykernel install --sys-prefix >/dev/null
	@mkdir -p $(LAB_SETTINGS)
	@printf '%s\n' '{' \
	  ' "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false},' \
	  ' "@jupyterlab/apputils-extension:themes": {"adaptive-theme": true}' \
	  '}' > $(LAB_SETTINGS)/overrides.json
	@touch $@

lab: setup ## Open JupyterLab on the first notebook; stored captures suffice
	@$(BIN)/resleak lab

report: setup ## Rerun scenarios for real, judge them, write one HTML file [NAME=system/scenario]
ifdef NAME
	@$(call fresh,$(NAME))
	@$(BIN)/resleak share '$(NAME)' -p CAPTURES='$(FRESH)' -o '$(REPORTS)/$(subst /,-,$(NAME)).html'
else
	@$(foreach name,$(SCENARIOS),$(call fresh,$(name)) &&) true
	@$(BIN)/resleak share $(NOTEBOOK) -p CAPTURES='$(FRESH)' -o $(REPORTS)/$(basename $(notdir $(NOTEBOOK))).html
endif

# 1 says "judged, but not as declared": the table shows it, and the report is worth having all the same.
fresh = $(BIN)/resleak capture '$(1)' $(ARGS) --out '$(FRESH)' \
  && { $(BIN)/resleak judge '$(1)' --out '$(FRESH)' || test $$? -eq 1; }

test: lint ## Check style and types, run the tests; scenarios again only where their code changed
	$(TESTS) -m 'not nightly'

# No test runs these scripts: what they call must exist, and take what it is given. Of other settings
# mypy keeps another cache.
NAMES_AND_CALLS := --config-file= --cache-dir=.mypy_cache/scripts --follow-imports=silent \
  --ignore-missing-imports --check-untyped-defs \
  $(addprefix --disable-error-code=,arg-type assignment misc return var-annotated)

test-all: lint ## The same with every scenario, every kind of notebook and all of JupyterLab
	$(BIN)/mypy $(NAMES_AND_CALLS) benchmarks/*.py docs/*.py
	$(TESTS)

fuzz: setup ## Open 10,000 damaged and hostile files, other ones each time [INPUTS=…]
	RESLEAK_FUZZ=$(INPUTS) $(BIN)/python -m pytest -n 2 --dist load tests/test_fuzz.py

lint: setup browser # Style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict resleak

test-browser: setup browser ## Run the tests that need a browser, and fail without one
	RESLEAK_REQUIRE_BROWSER=1 $(BIN)/python -m pytest -m browser

# What tests need besides Python, where it can be had; tests that lack it are skipped.
INSTALL = test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
  && { apt-get update -qq; apt-get install -y -qq $(1) >/dev/null 2>&1; }

browser: allocators # Chromium for the browser tests
	@command -v chromium chromium-browser google-chrome >/dev/null 2>&1 || { $(call INSTALL,chromium); } \
	  || echo 'no Chromium here: the browser tests are skipped' >&2

allocators: # Other allocators for the tests that preload them
	@ls /usr/lib/*/libjemalloc.so.2 >/dev/null 2>&1 \
	  || { $(call INSTALL,libjemalloc2 libmimalloc2.0 libtcmalloc-minimal4); } \
	  || echo 'no other allocators here: the tests that preload them are skipped' >&2

ALL := from resleak import catalog; print(*catalog.paths())

capture: setup ## Rerun scenarios, and pack each into one file of data/captures [NAME=… ARGS=…]
	@set -e; for name in $(or $(NAME),$$($(BIN)/python -c '$(ALL)')); do \
	  rm -rf '$(FRESH)'/"$$name"; \
	  $(BIN)/resleak capture "$$name" $(ARGS) --out '$(FRESH)'; \
	  $(BIN)/python docs/pack.py '$(FRESH)'/"$$name" data/captures/"$$name"; done

claims: setup ## Judge data/captures and write docs/register.md
	@$(BIN)/python docs/register.py

share: setup ## Render every notebook from the stored captures [NAME=system/scenario or a notebook]
	@set -e; for what in $(or $(NAME),$(sort $(wildcard notebooks/*.ipynb))); do \
	  $(BIN)/resleak share "$$what" -o "$(REPORTS)/$$(basename "$$what" .ipynb).html"; done

site: setup ## Write all reports and the claims as plain files for any host, into build/site
	@$(BIN)/python docs/gallery.py

notebooks: setup browser ## Execute the notebooks, check what they say, and store their outputs [NAME=a notebook]
	@$(BIN)/python docs/notebooks.py $(NAME)

docs: setup ## Build the documentation into build/docs; nothing is executed
	$(BIN)/sphinx-build -q -W --keep-going -b html docs build/docs
	@$(BIN)/python docs/gallery.py --stored build/docs/gallery

images: setup browser ## Take the pictures of the README, docs/images/*.png
	@$(BIN)/python docs/pictures.py

# After an upgrade of plotly: the small build of the version that it brings, of 0.4 MB.
PLOTLYJS = $$($(BIN)/python -c 'from plotly.offline import get_plotlyjs_version as v; print(v())')

plotly: setup # What draws the figures of reports; needs npm
	@set -e; version=$(PLOTLYJS); place=$$(mktemp -d); trap 'rm -rf $$place' EXIT; \
	  (cd $$place && npm pack --silent plotly.js-basic-dist-min@$$version >/dev/null && tar xzf *.tgz); \
	  rm -f resleak/figures/plotly-basic-*.min.js.gz; \
	  gzip -9 -n -c $$place/package/plotly-basic.min.js > resleak/figures/plotly-basic-$$version.min.js.gz

dist: setup ## Build the wheel and the source distribution, and check them
	rm -rf dist
	$(BIN)/uv build --quiet --system-certs --sdist --wheel -o dist
	$(BIN)/uv tool run --quiet --system-certs twine check --strict dist/*

bench: setup ## Run what is in benchmarks/; it takes long [ARGS=…]
	@set -e; for file in benchmarks/[!_]*.py; do $(BIN)/python "$$file" $(ARGS); done

clean: ## Remove .venv and everything that was built; data/ stays
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
