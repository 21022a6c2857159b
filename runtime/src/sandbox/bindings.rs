//! The generated bindings of the contract in `wit/`. They never leave this folder.

/// One view of all that a guest may export; which of it a component has is looked up by interface.
mod generated {
    #![allow(
        missing_docs,
        unreachable_pub,
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes_without_reason,
        reason = "generated code"
    )]

    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "
            package weir:host;
            world host-view {
                import weir:collector/log@0.1.0;
                import weir:collector/batches@0.1.0;
                import weir:collector/state@0.1.0;
                import weir:collector/metrics@0.1.0;
                import weir:collector/inspect@0.1.0;
                export weir:collector/lifecycle@0.1.0;
                export weir:collector/snapshots@0.1.0;
                export weir:collector/explain@0.1.0;
                export weir:collector/filter@0.1.0;
                export weir:collector/trigger@0.1.0;
                export weir:collector/stage@0.1.0;
            }
        ",
        world: "weir:host/host-view",
        imports: { default: trappable },
        with: {
            "weir:collector/batches.batch": crate::sandbox::host::batches::Batch,
        },
    });
}

pub(super) use generated::exports::weir::collector::{
    explain, filter, lifecycle, snapshots, stage, trigger,
};
pub(super) use generated::weir::collector::{batches, inspect, log, metrics, state};
