//! The worlds of `wit/`, generated: the only file that is.
//!
//! Nothing outside this crate names what stands here, but through the `export!` macro. The stage's
//! world has every import, so one set of types serves all guests. What a guest exports is cut into
//! small worlds, one an interface: a guest links two of them, and the component that comes out
//! has the world of `wit/` that has both. (Three whole worlds in one crate would each define the
//! same macro for `lifecycle`.) The WIT lies two folders above this crate, in the repository as in
//! a project of its own.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    reason = "written by wit-bindgen, not by hand"
)]

/// What guests import, of all worlds; what a guest doesn't call, its component doesn't import.
pub mod imports {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package weir:sdk;
            world imports {
                import weir:collector/log@0.1.0;
                import weir:collector/batches@0.1.0;
                import weir:collector/state@0.1.0;
                import weir:collector/metrics@0.1.0;
                import weir:collector/inspect@0.1.0;
            }
        ",
        generate_all,
    });
}

/// What every guest exports.
pub mod lifecycle {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package weir:sdk;
            world every-guest {
                export weir:collector/lifecycle@0.1.0;
            }
        ",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "__export_lifecycle",
    });
}

/// What a filter exports.
pub mod filter {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package weir:sdk;
            world filter-exports {
                export weir:collector/filter@0.1.0;
            }
        ",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "__export_filter",
        with: {
            "weir:collector/batches@0.1.0": crate::bindings::imports::weir::collector::batches,
        },
    });
}

/// What a trigger exports.
pub mod trigger {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package weir:sdk;
            world trigger-exports {
                export weir:collector/trigger@0.1.0;
            }
        ",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "__export_trigger",
        with: {
            "weir:collector/batches@0.1.0": crate::bindings::imports::weir::collector::batches,
        },
    });
}

/// What a stage exports.
pub mod stage {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package weir:sdk;
            world stage-exports {
                export weir:collector/stage@0.1.0;
            }
        ",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "__export_stage",
        with: {
            "weir:collector/batches@0.1.0": crate::bindings::imports::weir::collector::batches,
        },
    });
}

/// What a guest exports besides that has a memory to be taken and put back.
pub mod snapshots {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package weir:sdk;
            world snapshots-exports {
                export weir:collector/snapshots@0.1.0;
            }
        ",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "__export_snapshots",
    });
}

/// What a trigger exports besides whose rules can say why.
pub mod explain {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package weir:sdk;
            world explain-exports {
                export weir:collector/explain@0.1.0;
            }
        ",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "__export_explain",
        with: {
            "weir:collector/batches@0.1.0": crate::bindings::imports::weir::collector::batches,
        },
    });
}
