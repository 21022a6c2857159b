//! The engine that all guests share, and the clock that stops them: an epoch tick every 10 ms
//! while any guest runs, and none while none does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use wasmtime::{Config, Engine, OptLevel};

/// How often a running guest is looked at. Deadlines are kept to within two ticks.
pub const EPOCH_TICK: Duration = Duration::from_millis(10);
/// The wasm stack of a guest; deeper recursion is the fault `stack`.
pub(super) const WASM_STACK_BYTES: usize = 512 * 1024;
/// Stack of threads that call guests: the wasm stack, and room for the host functions above it.
pub(super) const THREAD_STACK_BYTES: usize = 4 * 1024 * 1024;
/// Frames of a backtrace that a fault keeps.
const BACKTRACE_FRAMES_MAX: usize = 32;

/// The engine's settings, the same in the daemon and in the child that compiles.
pub(super) fn engine_config() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .consume_fuel(true)
        .epoch_interruption(true)
        // Calls carry no async machinery: 330 → 100 ns for an export, 116 → 60 ns for an import.
        .concurrency_support(false)
        .cranelift_opt_level(OptLevel::Speed)
        .max_wasm_stack(WASM_STACK_BYTES)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(BACKTRACE_FRAMES_MAX));
    config
}

/// Ticks the engine's epoch while any guest runs.
pub(super) struct Ticker {
    shared: Arc<TickerShared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct TickerShared {
    running: AtomicUsize,
    parked: AtomicBool,
    stop: AtomicBool,
}

/// A guest call under way; ticks go on until it is dropped.
pub(super) struct Running<'a> {
    shared: &'a TickerShared,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.shared.running.fetch_sub(1, Ordering::Release);
    }
}

/// Says that a guest runs.
#[derive(Clone)]
pub(super) struct TickerHandle {
    shared: Arc<TickerShared>,
    thread: Thread,
}

impl TickerHandle {
    /// To be held for as long as the guest runs.
    pub(super) fn running(&self) -> Running<'_> {
        // SeqCst pairs with the ticker's "parked, then look again": one of the two sees the other.
        self.shared.running.fetch_add(1, Ordering::SeqCst);
        if self.shared.parked.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
        Running {
            shared: &self.shared,
        }
    }
}

impl Ticker {
    pub(super) fn start(engine: &Engine) -> std::io::Result<Self> {
        let shared = Arc::new(TickerShared::default());
        let thread = std::thread::Builder::new()
            .name("weir-epochs".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                let engine = engine.clone();
                move || tick(&shared, &engine)
            })?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// None once the ticker has ended, which it does with its sandbox.
    pub(super) fn handle(&self) -> Option<TickerHandle> {
        Some(TickerHandle {
            shared: Arc::clone(&self.shared),
            thread: self.thread.as_ref()?.thread().clone(),
        })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It looks at `stop` after each tick; nothing can keep it longer.
            drop(thread.join());
        }
    }
}

fn tick(shared: &TickerShared, engine: &Engine) {
    while !shared.stop.load(Ordering::SeqCst) {
        if shared.running.load(Ordering::SeqCst) == 0 {
            shared.parked.store(true, Ordering::SeqCst);
            if shared.running.load(Ordering::SeqCst) == 0 && !shared.stop.load(Ordering::SeqCst) {
                std::thread::park();
            }
            shared.parked.store(false, Ordering::SeqCst);
        }
        std::thread::park_timeout(EPOCH_TICK);
        engine.increment_epoch();
    }
}
