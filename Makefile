# A fresh machine: `make demo` and `make test`. Both make .venv first when it is not there.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed

.PHONY: setup demo test lint clean

setup: $(STAMP)

$(STAMP): setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -q --upgrade pip 'setuptools<80' wheel
	$(PY) -m pip install -q --no-build-isolation -c constraints.txt -e '.[ros,train,dev,openvino,onnx,ray,view,detect]'
	$(PY) -m amg_fuse_ros.network.inference.compile
	touch $@

demo: setup
	$(PY) -m tools.demo $(DEMO)

# Three processes: trainings fork their loaders, and a process in which ROS nodes and engines have run,
# with their libraries' threads, must not be forked. Those of training run two at a time, with one thread
# each; the others talk over topics or measure.
test: setup
ifdef TESTS
	$(PY) -m pytest $(TESTS)
else
	$(PY) -m pytest test/ros
	OMP_NUM_THREADS=1 $(PY) -m pytest test/training -n 2 --dist loadfile
	$(PY) -m pytest test --ignore=test/ros --ignore=test/training
endif

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy amg_fuse_ros training tools

clean:
	rm -rf $(VENV) build install log demo
