# The menu. `make test` is what CI calls; it installs what the tests need.

CARGO ?= cargo
GUEST_TARGET := wasm32-wasip2
TOOLS := target/tools
DENY := $(TOOLS)/bin/cargo-deny
DENY_VERSION := 0.20.2
FUZZ := $(TOOLS)/bin/cargo-fuzz
FUZZ_VERSION := 0.13.2
FUZZ_TARGETS := bus/frame bus/header bus/batch host-sources/types host-sources/records host-sources/files \
  host-sources/messages host-sources/netlink host-sources/sockets host-sources/system runtime/answer runtime/component
FUZZ_SECONDS ?= 60
TIERS_TEST := tiers::tests::this_host_has_ways_and_as_root_all_of_them_work

.PHONY: help run build test check fmt clippy doc deny unit tiers loom guests fuzz bench bench-peers clean target python

help: ## shows this menu
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST)

run: ## runs the daemon on the embedded default
	$(CARGO) run --release

build: target ## builds the daemon, its guests inside
	$(CARGO) build --release

test: target fmt clippy doc deny guests unit loom ## everything that must hold

# Where the target is missing rustup adds it; without rustup, the distribution must have it.
target:
	@rustup target list --installed 2>/dev/null | grep -qx $(GUEST_TARGET) \
	  || rustup target add $(GUEST_TARGET) \
	  || { echo "weir needs the target $(GUEST_TARGET): rustup target add $(GUEST_TARGET)"; exit 1; }

fmt: ## the code is formatted
	$(CARGO) fmt --all --check
	cd guests && $(CARGO) fmt --all --check
	cd bus/fuzz && $(CARGO) fmt --all --check
	cd host-sources/fuzz && $(CARGO) fmt --all --check
	cd runtime/fuzz && $(CARGO) fmt --all --check

clippy: target ## no warning of the workspace's lints
	$(CARGO) clippy --release --workspace --all-targets --locked -- -D warnings

doc: target ## the documentation builds without warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --workspace --no-deps --locked

$(DENY):
	$(CARGO) install cargo-deny --version $(DENY_VERSION) --locked --root $(TOOLS) --no-default-features

# What other platforms need is looked at too, and no build has fetched it.
deny: $(DENY) ## licences, duplicates and origins of all dependencies
	$(CARGO) fetch --locked
	$(DENY) --offline --config .deny.toml check licenses bans sources

guests: target ## the guests' own tests, on this machine's target
	cd guests && $(CARGO) test --locked --target $$(rustc -vV | sed -n 's/^host: //p') --target-dir ../target/guests-tests

unit: target python ## the tests of all crates, and of the daemon as a whole
	$(CARGO) test --release --workspace --locked

# The same build as for `unit`. A run that prints no way has tested none.
tiers: target python ## the ways to look at this host that work; as root all must
	@mkdir -p target
	@$(CARGO) test --release --workspace --locked --lib -- --nocapture --exact $(TIERS_TEST) > target/tiers.txt \
	  || { cat target/tiers.txt; exit 1; }
	@grep '^tier ' target/tiers.txt

# A feature that changes the crate's own unit tests only, so that no dependency is compiled anew.
loom: ## the bus's queue under every order of steps
	$(CARGO) test --release --locked -p weir-bus --features loom --lib loom_

# The tests read the bus's socket with a client in another language.
python:
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null \
	  || { echo "the tests need python3, 3.8 or later, in the path: they use it as a client of the bus"; exit 1; }

$(FUZZ):
	$(CARGO) install cargo-fuzz --version $(FUZZ_VERSION) --locked --root $(TOOLS)

# No sanitizer: those need a nightly compiler, and there is no unsafe code here for them to watch. What
# is found on the way stays in the target folder; what fails is kept in the crate's `fuzz/artifacts`. cargo-fuzz
# knows no --locked: whether the locks fit is asked before.
fuzz: $(FUZZ) ## each fuzz target for FUZZ_SECONDS
	@for crate in $(sort $(dir $(FUZZ_TARGETS))); do \
	  $(CARGO) metadata --locked --format-version 1 --manifest-path $${crate}fuzz/Cargo.toml > /dev/null || exit 1; \
	done
	@for target in $(FUZZ_TARGETS); do \
	  crate=$${target%/*} name=$${target#*/}; \
	  mkdir -p target/fuzz/corpus/$$name; \
	  $(FUZZ) run --fuzz-dir $$crate/fuzz --target-dir target/fuzz -s none $$name \
	    target/fuzz/corpus/$$name $$crate/fuzz/seeds/$$name \
	    -- -max_total_time=$(FUZZ_SECONDS) -timeout=10 -print_final_stats=1 -verbosity=0 || exit 1; \
	done

bench: target ## every figure of docs/benchmarks.md; some need bench-peers
	$(CARGO) run --release -p weir-bench -- all

bench-peers: ## installs what the socket and the sources are measured beside (Debian, as root)
	apt-get install --yes --no-install-recommends nats-server redis-server procps iproute2

clean: ## removes what was built
	$(CARGO) clean
	cd guests && $(CARGO) clean
