# Meson and Ninja do the work; this is the short way to say it. `make help` lists the targets.
BUILD ?= build
PREFIX ?= /usr/local

.DEFAULT_GOAL := build
.NOTPARALLEL:
.PHONY: help build deps demo test bench soak install clean fmt

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 20

build: ## build/coffer and its siblings
	@tools/install-deps --check build
	@tools/fetch-grammars
	@[ -f $(BUILD)/build.ninja ] || meson setup $(BUILD)
	ninja -C $(BUILD)

deps:
	@tools/install-deps build $(DEPS)

demo: DEPS = demo
demo: deps build ## a real build and a hostile script, each in a box
	tools/demo --coffer $(BUILD)/coffer

test: DEPS = test
test: deps build ## everything that can be tested on this host
	tests/run --build $(BUILD)

bench: DEPS = bench
bench: deps build ## coffer beside its peers, in one run
	bench/run --build $(BUILD)
	bench/network --build $(BUILD)
	bench/layers --build $(BUILD)
	bench/diff --build $(BUILD)
	bench/witness --build $(BUILD)

soak: DEPS = test
soak: deps build ## the escape tests again and again (MINUTES=60)
	tests/run --build $(BUILD) --soak $(or $(MINUTES),60)

install: build ## [PREFIX=/usr/local] [DESTDIR=]
	meson configure $(BUILD) -Dprefix=$(abspath $(PREFIX))
	meson install --strip -C $(BUILD)

clean: ## remove what was built
	rm -rf $(BUILD)

fmt: ## lay the C files out as .clang-format says
	find src include tests fuzz bench -name '*.[ch]' | xargs clang-format -i
