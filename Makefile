# The course's commands. Works with GNU make 3.81 (macOS) and newer.
# On Windows, type the plain commands that README.md gives instead.

PYTHON ?=
ARGS ?=
NB ?=
CLAIM ?=
SEEDS ?=
SPLITS ?=
MINUTES ?=
PHOTOS ?=

VENV_PYTHON = .venv/bin/python
CANDIDATES = $(if $(PYTHON),$(PYTHON),python3 python3.14 python3.13 python3.12 python3.11 python)
SUPPORTED = import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))
# One thread each: with a process for each core, more threads would only wait for one another.
PYTEST = OMP_NUM_THREADS=1 $(VENV_PYTHON) -m pytest
# A process for each core, four at most: each notebook has its own kernel of up to 1.5 GB.
PARALLEL = -n logical --maxprocesses=4

define JUPYTERLAB
echo "Opening JupyterLab. Ctrl-C twice in this terminal ends it."
JUPYTER_PREFER_ENV_PATH=1 $(VENV_PYTHON) -m jupyterlab --ServerApp.root_dir=. \
  --LabApp.default_url=/lab/tree/$(1)/00_start_here.ipynb $(ARGS)
endef

.PHONY: help lab edit progress test quick soak notebooks bounds bench cells claims check-claims site clean

help:
	@echo "make lab        set up (once) and open your copy of the course; ARGS=--no-browser on a server"
	@echo "make progress   which exercises you have solved"
	@echo "make edit       open the course's own notebooks, to change them"
	@echo "make test       unit tests, and every notebook executed and compared (half an hour)"
	@echo "make quick      unit tests and notebooks 00, 01 and 04: for the impatient"
	@echo "make soak       many more made-up inputs, 100 random kills, 200 epochs, 400 mutants"
	@echo "make notebooks  execute the notebooks anew and store their outputs; NB=02 for one"
	@echo "make bounds     NB=05: five seeds on two kinds of processor: which bounds hold (10 minutes)"
	@echo "make bench      the measurements in benchmarks/, among them the one against fastai"
	@echo "make cells      the 8 steps on solar cells at 224 px (an hour; goes on where it was stopped):"
	@echo "                leaves cells/split-0-224.pt and its history; SPLITS=\"0 1 2 3 4\" for five"
	@echo "make claims     the lesson's claims, measured: runs that are missing, for an hour at most;"
	@echo "                CLAIM=11 SEEDS=\"0 1\" for some; PHOTOS=folder names what isn't shipped"
	@echo "                (data/README.md); make check-claims CLAIM=11 SEEDS=\"0 31\" runs stored ones again"
	@echo "make site       the course as web pages, to read without Python: site/_build/html;"
	@echo "                with npm also the page that trains in the browser"
	@echo "make clean      remove the virtual environment, and caches and web pages in this folder"
	@echo "To set up otherwise, after make clean: PYTHON=python3.12 chooses the Python,"
	@echo "TORCH_INDEX=address where PyTorch comes from, VERSIONS=newest or oldest the versions."

lab: .venv/.ready
	@$(VENV_PYTHON) -m lessonkit workbook
	@$(call JUPYTERLAB,workbook)

edit: .venv/.ready
	@$(call JUPYTERLAB,notebooks)

progress: .venv/.ready
	@$(VENV_PYTHON) -m lessonkit progress

test: .venv/.ready-test
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m ruff format --check .
	$(PYTEST) --nbval $(PARALLEL)

quick: .venv/.ready-test
	$(PYTEST) --nbval $(PARALLEL) -m "not slow and not soak" tests $(wildcard notebooks/0[014]_*.ipynb notebooks/solutions/0[014]_*.ipynb)

soak: .venv/.ready-test
	$(PYTEST) -m "" --hypothesis-profile=soak tests/test_fuzz.py tests/test_faults.py tests/test_soak.py \
	  tests/test_resume.py tests/test_distributed.py tests/test_lr_finder.py
	$(VENV_PYTHON) tools/mutants.py

notebooks: .venv/.ready-test
	$(VENV_PYTHON) tools/notebooks.py $(NB)

bounds: .venv/.ready-test
	@$(VENV_PYTHON) -m tools.bounds $(NB)

bench: .venv/.ready-bench
	@missed=""; for script in benchmarks/*.py; do \
	  echo "== $$script"; $(VENV_PYTHON) "$$script" || missed="$$missed $$script"; \
	done; \
	if [ -n "$$missed" ]; then echo "A target is missed, or something failed:$$missed" >&2; exit 1; fi

cells: .venv/.ready
	@$(VENV_PYTHON) tools/cells.py $(if $(SPLITS),--splits $(SPLITS)) $(ARGS)

claims: .venv/.ready
	@$(VENV_PYTHON) -m experiments $(if $(CLAIM),--claim $(CLAIM)) $(if $(SEEDS),--seeds $(SEEDS)) \
	  $(if $(MINUTES),--minutes $(MINUTES)) $(if $(PHOTOS),--photos "$(PHOTOS)")

check-claims: .venv/.ready
	@$(VENV_PYTHON) -m experiments --check --claim $(CLAIM) --seeds $(SEEDS) \
	  $(if $(PHOTOS),--photos "$(PHOTOS)")

site: .venv/.ready-test
	@$(VENV_PYTHON) site/train_parts.py
	@$(VENV_PYTHON) -m sphinx -q -c site -d site/_build/doctrees . site/_build/html
	@echo "Open site/_build/html/index.html in a browser, or put the folder on a web server."

clean:
	rm -rf .venv .cache .pytest_cache .ruff_cache .hypothesis lessonkit.egg-info build site/_build
	find . -name __pycache__ -prune -exec rm -rf {} +
	find . -name .ipynb_checkpoints -prune -exec rm -rf {} +

# What a reader needs. tools/install.py does it; here a Python is found to run it with.
.venv/.ready: pyproject.toml constraints.txt tools/install.py
	@python=""; \
	for candidate in $(VENV_PYTHON) $(CANDIDATES); do \
	  if "$$candidate" -c '$(SUPPORTED)' 2>/dev/null; then python="$$candidate"; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "This course needs Python 3.11, 3.12, 3.13 or 3.14, and found none (tried:" \
	    "$(CANDIDATES)): install one, or name it, as in: make lab PYTHON=python3.12" >&2; \
	  exit 1; \
	fi; \
	"$$python" tools/install.py
	@touch $@
	@echo "Ready. From now on this command starts at once."

# What is needed besides to test, change and publish the course.
.venv/.ready-test: .venv/.ready
	@echo "Adding what tests, checks of style and web pages need (0.4 GB of disk)."
	@$(VENV_PYTHON) tools/install.py test dev site
	@touch $@

.venv/.ready-bench: .venv/.ready-test
	@echo "Adding fastai, scikit-learn and others, for the comparisons only (about 1 minute, 0.4 GB)."
	@$(VENV_PYTHON) tools/install.py test dev site bench
	@touch $@
