# The menu. `make test` is what CI calls; it installs what the tests need.

CARGO ?= cargo
GUEST_TARGET := wasm32-wasip2
TOOLS := target/tools
DENY := $(TOOLS)/bin/cargo-deny
DENY_VERSION := 0.20.2

.PHONY: help run build test check fmt clippy doc deny unit guests bench bench-peers clean target

help: ## shows this menu
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST)

run: ## runs the daemon on the embedded default
	$(CARGO) run --release

build: target ## builds the daemon, its guests inside
	$(CARGO) build --release

test: target fmt clippy doc deny guests unit ## everything that must hold

# Where the target is missing rustup adds it; without rustup, the distribution must have it.
target:
	@rustup target list --installed 2>/dev/null | grep -qx $(GUEST_TARGET) \
	  || rustup target add $(GUEST_TARGET) \
	  || { echo "weir needs the target $(GUEST_TARGET): rustup target add $(GUEST_TARGET)"; exit 1; }

fmt: ## the code is formatted
	$(CARGO) fmt --all --check
	cd guests && $(CARGO) fmt --all --check

clippy: target ## no warning of the workspace's lints
	$(CARGO) clippy --release --workspace --all-targets --locked -- -D warnings

doc: target ## the documentation builds without warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --workspace --no-deps --locked

$(DENY):
	$(CARGO) install cargo-deny --version $(DENY_VERSION) --locked --root $(TOOLS) --no-default-features

deny: $(DENY) ## licences, duplicates and origins of all dependencies
	$(DENY) --offline --config .deny.toml check licenses bans sources

guests: target ## the guests' own tests, on this machine's target
	cd guests && $(CARGO) test --locked --target $$(rustc -vV | sed -n 's/^host: //p') --target-dir ../target/guests-tests

unit: target ## the tests of all crates, and of the daemon as a whole
	$(CARGO) test --release --workspace --locked

bench: target ## every figure of docs/benchmarks.md; the socket's need bench-peers
	$(CARGO) run --release -p weir-bench -- all

bench-peers: ## installs what the socket is measured beside (Debian, as root)
	apt-get install --yes --no-install-recommends nats-server redis-server

clean: ## removes what was built
	$(CARGO) clean
	cd guests && $(CARGO) clean
