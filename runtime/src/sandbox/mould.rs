//! What instances of a guest are made of: any number of the same, each in a store of its own with
//! every limit armed.

use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::{InstancePre, ResourceTable};
use weir_bus::Timestamp;

use super::bindings::{explain, filter, lifecycle, snapshots, stage, trigger};
use super::call::{arm, fault, guarded, tick};
use super::engine::TickerHandle;
use super::fault::{Fault, FaultReason};
use super::host::batches::Lent;
use super::host::{Effects, GuestState, Inspect, LogGate, StateStore};
use super::inspect_component::{Besides, World};
use super::instance::{Exports, Instance};
use super::limits::{Armed, Limit, Limiter, MemoryBudget};
use super::wasi::{self, FrozenClock, Tail};

/// What the table above its own capacity needs for WASI's own streams.
const WASI_HANDLES: usize = 16;

/// Everything that an instance is made of; makes any number of the same.
pub(super) struct Mould {
    pub(super) world: World,
    /// What the guest exports besides its world.
    pub(super) besides: Besides,
    pub(super) pre: InstancePre<GuestState>,
    pub(super) limits: Arc<Armed>,
    pub(super) settings: String,
    pub(super) seed: u64,
    pub(super) log: Arc<LogGate>,
    pub(super) store: Arc<StateStore>,
    pub(super) inspect: Option<Arc<dyn Inspect>>,
    pub(super) budget: Arc<MemoryBudget>,
    pub(super) ticker: TickerHandle,
}

/// What a guest exports, looked up.
struct Linked {
    lifecycle: lifecycle::Guest,
    exports: Exports,
    snapshots: Option<snapshots::Guest>,
    explain: Option<explain::Guest>,
}

impl Mould {
    /// A fresh instance that has answered `init`.
    pub(super) fn instance(&self) -> Result<Instance, Fault> {
        self.initialised(self.instantiate()?)
    }

    /// The same, whose lines nobody reads: what it says is said by another already.
    pub(super) fn silent_instance(&self) -> Result<Instance, Fault> {
        let log = Arc::new(LogGate::closed());
        self.initialised(self.instantiate_with(&log)?)
    }

    fn initialised(&self, mut instance: Instance) -> Result<Instance, Fault> {
        match instance.init(&self.settings)? {
            Ok(_) => Ok(instance),
            Err(message) => Err(Fault::of(FaultReason::Fatal, message)),
        }
    }

    /// A fresh instance, before its `init`.
    pub(super) fn instantiate(&self) -> Result<Instance, Fault> {
        self.instantiate_with(&self.log)
    }

    fn instantiate_with(&self, log: &Arc<LogGate>) -> Result<Instance, Fault> {
        let mut store = self.new_store(log);
        let limits = Arc::clone(&self.limits);
        store.data_mut().begin_batch(Timestamp::default());
        arm(&mut store, 0).map_err(|error| fault(&store, &error))?;
        let running = self.ticker.running();
        let made = guarded(|| self.link(&mut store));
        drop(running);
        match made {
            Ok(Ok(linked)) => Ok(Instance {
                store,
                lifecycle: linked.lifecycle,
                exports: linked.exports,
                snapshots: linked.snapshots,
                explain: linked.explain,
                ticker: self.ticker.clone(),
                rules: 0,
                fuel: 0,
            }),
            Ok(Err(error)) => Err(instantiation_fault(&store, &error, &limits)),
            Err(panic) => Err(panic),
        }
    }

    fn link(&self, store: &mut Store<GuestState>) -> wasmtime::Result<Linked> {
        let instance = self.pre.instantiate(&mut *store)?;
        let lifecycle = lifecycle::GuestIndices::new(&self.pre)?.load(&mut *store, &instance)?;
        let exports = match self.world {
            World::Filter => {
                Exports::Filter(filter::GuestIndices::new(&self.pre)?.load(&mut *store, &instance)?)
            }
            World::Trigger => Exports::Trigger(
                trigger::GuestIndices::new(&self.pre)?.load(&mut *store, &instance)?,
            ),
            World::Stage => {
                Exports::Stage(stage::GuestIndices::new(&self.pre)?.load(&mut *store, &instance)?)
            }
        };
        let snapshots = if self.besides.snapshots {
            let indices = snapshots::GuestIndices::new(&self.pre)?;
            Some(indices.load(&mut *store, &instance)?)
        } else {
            None
        };
        let explain = if self.besides.explain {
            let indices = explain::GuestIndices::new(&self.pre)?;
            Some(indices.load(&mut *store, &instance)?)
        } else {
            None
        };
        Ok(Linked {
            lifecycle,
            exports,
            snapshots,
            explain,
        })
    }

    fn new_store(&self, log: &Arc<LogGate>) -> Store<GuestState> {
        let now = Arc::new(FrozenClock::default());
        let stderr = Tail::default();
        let mut table = ResourceTable::new();
        if self.limits.holds(Limit::Handles) {
            table.set_max_capacity(self.limits.handles_max.saturating_add(WASI_HANDLES));
        }
        let state = GuestState {
            table,
            lent: Lent::default(),
            limits: Arc::clone(&self.limits),
            limiter: Limiter::new(&self.limits, Arc::clone(&self.budget)),
            allowance: super::host::Allowance::default(),
            asked: super::host::Asked::default(),
            effects: Effects::default(),
            log: Arc::clone(log),
            store: Arc::clone(&self.store),
            inspect: self.inspect.clone(),
            wasi: wasi::context(log, &now, &stderr, self.seed),
            now,
            stderr,
            cpu_call: self.limits.cpu_of_call(self.world == World::Stage),
        };
        let mut store = Store::new(self.pre.engine(), state);
        store.limiter(|state| &mut state.limiter);
        store.epoch_deadline_callback(tick);
        if self.limits.holds(Limit::Handles) {
            // Named attack: `resource.new` of a type of the guest's own makes handles in tables of the
            // host's, without a host call. A handle that is passed counts twice while it is lent.
            let most = self.limits.handles_max.saturating_add(WASI_HANDLES);
            store.set_max_component_handles(most.saturating_mul(2));
        }
        if self.limits.holds(Limit::HostBytes) && self.limits.holds(Limit::OutputSize) {
            store.set_hostcall_fuel(self.limits.host_bytes_call_max);
        }
        store
    }
}

/// wasmtime counts instances, tables and memories when it makes them, and says so in words only.
fn instantiation_fault(
    store: &Store<GuestState>,
    error: &wasmtime::Error,
    limits: &Armed,
) -> Fault {
    let mut fault = fault(store, error);
    if fault.message.contains("instance count too high") {
        fault.reason = FaultReason::Instances;
        fault.message = format!(
            "has more core instances than {} (limits.core_instances_max)",
            limits.core_instances_max
        );
    } else if fault.message.contains("table count too high") {
        fault.reason = FaultReason::Tables;
        fault.message = format!(
            "has more tables than {} (limits.tables_max)",
            limits.tables_max
        );
    } else if fault.message.contains("memory count too high") {
        fault.reason = FaultReason::Memory;
        fault.message = format!("has more memories than {}", limits.core_instances_max);
    } else if fault.reason == FaultReason::Trap && fault.message.contains("minimum size") {
        fault.reason = FaultReason::Memory;
    }
    fault
}
