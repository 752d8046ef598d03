# Sets up .venv under constraints.txt, compiles the Mojo side, runs. `make` alone lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
BENCH_ARGS ?=
TEST_ARGS ?=
TRAIN_ARGS ?=
EXAMPLES ?= 20000
PARTS ?=
RUN ?= results/reference
EXTRAS ?= ladder
ROOFLINE ?= roofline

# Also for the build of this project itself, which pip does in a place of its own.
PINNED := PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt
VARIANTS := PIP_CONSTRAINT="constraints.txt constraints-ladder.txt" PIP_BUILD_CONSTRAINT=constraints.txt
say = @printf '\n== %s\n' "$(1)"

# Puts a run from build/kept, where it was made so that the checkout it measured is as committed, in
# the place of the one before; packs it, and makes its report and the pages that show it, also when
# the run ends with exit code 1: a cell is INVALID then, or a rate impossible, and the pages say so.
keep = status=$$?; [ $$status -le 1 ] || exit $$status; rm -rf results/$(1) && \
	mv build/kept/$(1) results/$(1) && gzip -9n results/$(1)/samples.jsonl && \
	{ $(BIN)/python -m bench report results/$(1) || [ $$? -eq 1 ]; } && \
	$(BIN)/python -m tools.readme && $(BIN)/python -m tools.writeup && exit $$status

# Prints what would be installed beside this project and what is there, without what only a build for
# graphics cards brings.
define OF_THE_LADDER
import json
for one in json.load(open("build/ladder.json"))["install"]:
    name, version = one["metadata"]["name"], one["metadata"]["version"].partition("+")[0]
    if name != "python-vs-mojo" and not name.startswith(("nvidia-", "cuda-", "triton")):
        print(f"{name}=={version}")
endef
export OF_THE_LADDER

.PHONY: help build ladder variants program train bench test test-all fuzz sanitize check report reference roofline awkward pins clean
.DEFAULT_GOAL := help

help:
	@echo "make build      set up $(VENV) and compile"
	@echo "make ladder     install the packages of the variants; EXTRAS=numba,max,cluster: others"
	@echo "make program    compile the stand-alone program, which trains without Python; prints its path"
	@echo "make train      build, then train both to be looked at; TRAIN_ARGS='--dataset digits'"
	@echo "make bench      build, then measure and report; BENCH_ARGS='--preset quick' is passed on"
	@echo "make test       build, then test both languages, five minutes; TEST_ARGS='-k parity'"
	@echo "make test-all   the long tests as well: other processors, a cluster, every program"
	@echo "make check      format, lint, types, documentation: what needs no running"
	@echo "make fuzz       drive both languages with EXAMPLES=$(EXAMPLES) drawn programs: docs/boundary.md"
	@echo "make sanitize   the compiled code under AddressSanitizer, ThreadSanitizer and valgrind"
	@echo "make report     make charts and report again from the raw data of RUN=$(RUN)"
	@echo "make reference  measure results/reference again (leave the machine alone), and the README"
	@echo "make variants      measure results/ladder again, all variants that are installed, and docs/ladder.md"
	@echo "make roofline   measure results/$(ROOFLINE) again (leave the machine alone), and its page"
	@echo "make awkward    measure results/awkward again (leave the machine alone), and its page"
	@echo "make pins       choose the newest allowed packages and write both constraints files again"
	@echo "make clean      remove $(VENV), build/ and caches; results stay"
	@echo "PYTHON=python3.13 chooses another Python for $(VENV); it is '$(PYTHON)' now"

$(INSTALLED): pyproject.toml constraints.txt
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "There is no '$(PYTHON)'. Install Python 3.11 or newer, or say where it is:" \
	    "make PYTHON=/path/to/python3 ..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed, and '$(PYTHON)' is $$("$(PYTHON)" -V 2>&1)." \
	    "Say which to use: make PYTHON=python3.13 ..." >&2; exit 1; }
	$(call say,setting up $(VENV) once: about 1 GB; it takes a minute or two)
	@"$(PYTHON)" -m venv $(VENV)
	@$(PINNED) $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

build: $(INSTALLED)
	$(call say,compiling what has changed)
	@$(BIN)/python -m mojo_impl.building

ladder: $(INSTALLED)
	$(call say,installing the packages of the variants: $(EXTRAS))
	@$(VARIANTS) $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --editable '.[dev,$(EXTRAS)]'

program: $(INSTALLED)
	@$(BIN)/python -m mojo_impl.building --program

train: build
	$(call say,training both)
	@$(BIN)/python -m bench train $(TRAIN_ARGS)

bench: build
	$(call say,measuring)
	@$(BIN)/python -m bench run $(BENCH_ARGS)

test: build
	$(call say,testing both languages)
	@PATH="$(CURDIR)/$(BIN):$$PATH" .ci/test $(TEST_ARGS)

test-all: build
	$(call say,testing both languages and all that takes long)
	@PATH="$(CURDIR)/$(BIN):$$PATH" .ci/test --all $(TEST_ARGS)

fuzz: build
	$(call say,fuzzing the boundary; ten minutes or so)
	@$(BIN)/python tests/boundary/boundary.py --examples $(EXAMPLES) --page docs/boundary.md

sanitize: build
	$(call say,running the compiled code under sanitizers; twenty minutes or so)
	@$(BIN)/python tests/boundary/sanitize.py $(PARTS)

check: $(INSTALLED)
	@PATH="$(CURDIR)/$(BIN):$$PATH" .ci/check

report: $(INSTALLED)
	$(call say,reporting on $(RUN))
	@$(BIN)/python -m bench report $(RUN)

reference: build
	$(call say,measuring the run that the README shows; leave the machine alone)
	@rm -rf build/kept/reference
	@$(BIN)/python -m mojo_impl.building --measure >/dev/null
	@$(BIN)/python -m bench run --out build/kept --name reference; $(call keep,reference)

variants: build
	$(call say,measuring the run that docs/ladder.md shows; leave the machine alone)
	@rm -rf build/kept/ladder
	@$(BIN)/python -m bench run --preset ladder --out build/kept --name ladder; $(call keep,ladder)

roofline: build
	$(call say,measuring the run that docs/performance.md shows; leave the machine alone)
	@rm -rf build/kept/$(ROOFLINE)
	@$(BIN)/python -m bench roofline $(BENCH_ARGS) --out build/kept --name $(ROOFLINE); $(call keep,$(ROOFLINE))

awkward: build
	$(call say,measuring the odd sizes that docs/performance.md shows; leave the machine alone)
	@rm -rf build/kept/awkward
	@$(BIN)/python -m bench run --preset awkward --no-training --out build/kept --name awkward; $(call keep,awkward)

pins:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { \
	  echo "The oldest Python chooses, so that the set fits all:" \
	    "make pins PYTHON=python3.11" >&2; exit 1; }
	$(call say,choosing packages in build/pins)
	@rm -rf build/pins && "$(PYTHON)" -m venv build/pins
	@build/pins/bin/python -m pip install --quiet '.[dev]' setuptools
	@{ sed -n '/^#/p' constraints.txt; build/pins/bin/python -m pip freeze --all \
	  --exclude pip --exclude python-vs-mojo | sort -f; } > build/constraints.txt
	@mv build/constraints.txt constraints.txt
	@build/pins/bin/python -m pip install --quiet --dry-run --report build/ladder.json \
	  -c constraints.txt '.[ladder,cluster]'
	@{ sed -n '/^#/p' constraints-ladder.txt; build/pins/bin/python -c "$$OF_THE_LADDER" | sort -f; \
	  } > build/constraints.txt
	@mv build/constraints.txt constraints-ladder.txt && rm -rf build/pins build/ladder.json

clean:
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
