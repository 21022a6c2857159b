//! `export!`: the one macro that makes a guest of a type or of a closure.
//!
//! It writes the functions that the component exports, in wasm only: elsewhere a guest is an
//! ordinary library with tests.

/// Exports a guest: one a crate, and the crate is a `cdylib`.
///
/// A type that implements `Filter`, `Trigger` or `Stage`:
///
/// ```text
/// weir_guest::export!(filter Rest);
/// weir_guest::export!(trigger Watch);
/// weir_guest::export!(stage Lineage);
/// ```
///
/// With `with memory` behind it, a type that implements `Memory` is put back to what it knew when
/// it breaks: `weir_guest::export!(trigger Watch with memory);` With `with explain`, or with
/// `with memory, explain`, a trigger that implements `Explain` says of a row why its rules fire.
///
/// Or a closure over the rows of a kind, with the columns that it reads. A filter's says whether
/// the row goes on, a trigger's gives a message where its rule fires:
///
/// ```
/// weir_guest::export! {
///     trigger over process { name: text, command_line: texts }
///     rule "downloads-and-runs", High
///     fires |row| {
///         let piped = row.command_line()?.any(|argument| argument.contains("| sh"));
///         piped.then(|| format!("{} downloads and runs", row.name().unwrap_or("?")))
///     }
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export {
    (filter over $kind:ident { $($field:ident: $type:ident),+ $(,)? } keep $keep:expr) => {
        $crate::columns! { $kind { $($field: $type),+ } }

        struct Rows;

        impl $crate::Guest for Rows {
            type Settings = $crate::NoSettings;

            fn new(_: $crate::NoSettings) -> ::core::result::Result<Self, ::std::string::String> {
                ::core::result::Result::Ok(Self)
            }

            fn wants(&self) -> $crate::Wants {
                $kind::wants()
            }
        }

        impl $crate::Filter for Rows {
            fn keep(
                &mut self,
                batch: &$crate::Batch<'_>,
            ) -> ::core::result::Result<$crate::Selection, $crate::EvalError> {
                let columns = $kind::Columns::fetch(batch)?;
                ::core::result::Result::Ok(columns.mask($keep).into())
            }
        }

        $crate::export!(filter Rows);
    };
    (
        trigger over $kind:ident { $($field:ident: $type:ident),+ $(,)? }
        rule $rule:literal, $priority:ident
        fires $fires:expr
    ) => {
        $crate::columns! { $kind { $($field: $type),+ } }

        struct Rows;

        impl Rows {
            fn fires(
                columns: &$kind::Columns,
                fires: impl for<'a> Fn(
                    $kind::Row<'a>,
                ) -> ::core::option::Option<::std::string::String>,
            ) -> $crate::Verdicts {
                let firing = |row: $kind::Row<'_>| {
                    let message = ::core::option::Option::Some(fires(row)?);
                    ::core::option::Option::Some($crate::Firing { row: row.number(), rule: 0, message })
                };
                $crate::Verdicts {
                    firings: columns.rows().filter_map(firing).collect(),
                    undecided: ::std::vec::Vec::new(),
                }
            }
        }

        impl $crate::Guest for Rows {
            type Settings = $crate::NoSettings;

            fn new(_: $crate::NoSettings) -> ::core::result::Result<Self, ::std::string::String> {
                ::core::result::Result::Ok(Self)
            }

            fn wants(&self) -> $crate::Wants {
                $kind::wants().rule($rule, $crate::Priority::$priority)
            }
        }

        impl $crate::Trigger for Rows {
            fn evaluate(
                &mut self,
                batch: &$crate::Batch<'_>,
            ) -> ::core::result::Result<$crate::Verdicts, $crate::EvalError> {
                let columns = $kind::Columns::fetch(batch)?;
                ::core::result::Result::Ok(Self::fires(&columns, $fires))
            }
        }

        $crate::export!(trigger Rows);
    };
    ($world:ident $guest:ident with memory) => {
        $crate::export!(@all $world $guest { $crate::__export!(memory $guest); });
    };
    (trigger $guest:ident with explain) => {
        $crate::export!(@all trigger $guest { $crate::__export!(explain $guest); });
    };
    (trigger $guest:ident with memory, explain) => {
        $crate::export!(@all trigger $guest {
            $crate::__export!(memory $guest);
            $crate::__export!(explain $guest);
        });
    };
    ($world:ident $guest:ty) => {
        $crate::export!(@all $world $guest {});
    };
    (@all $world:ident $guest:ty { $($more:tt)* }) => {
        const _: () = {
            use $crate::bindings::lifecycle::exports::weir::collector::lifecycle as __lifecycle;

            ::std::thread_local! {
                static SLOT: $crate::glue::Slot<$guest> = const { $crate::glue::Slot::new() };
            }

            struct Component;

            // Away from wasm nothing is exported; it is in use all the same.
            const _: () = $crate::glue::used::<Component>();

            impl __lifecycle::Guest for Component {
                fn describe() -> __lifecycle::Description {
                    __lifecycle::Description {
                        name: ::core::env!("CARGO_PKG_NAME").into(),
                        version: ::core::env!("CARGO_PKG_VERSION").into(),
                    }
                }

                fn init(
                    config: ::std::string::String,
                ) -> ::core::result::Result<__lifecycle::Wants, ::std::string::String> {
                    SLOT.with(|slot| slot.init(&config))
                }

                fn self_test() -> ::core::result::Result<(), ::std::string::String> {
                    SLOT.with(|slot| slot.self_test())
                }
            }

            #[cfg(target_arch = "wasm32")]
            $crate::bindings::lifecycle::__export_lifecycle!(
                Component with_types_in $crate::bindings::lifecycle
            );
            $crate::__export!($world $guest);
            $($more)*
        };
    };
}

/// The interface that makes a guest the guest of its world.
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    (filter $guest:ty) => {
        impl $crate::bindings::filter::exports::weir::collector::filter::Guest for Component {
            fn keep(
                events: &$crate::bindings::imports::weir::collector::batches::Batch,
            ) -> ::core::result::Result<$crate::Selection, $crate::EvalError> {
                let batch = $crate::Batch::new(events);
                SLOT.with(|slot| {
                    slot.call(|guest| <$guest as $crate::Filter>::keep(guest, &batch))
                })
            }
        }

        #[cfg(target_arch = "wasm32")]
        $crate::bindings::filter::__export_filter!(
            Component with_types_in $crate::bindings::filter
        );
    };
    (trigger $guest:ty) => {
        impl $crate::bindings::trigger::exports::weir::collector::trigger::Guest for Component {
            fn evaluate(
                events: &$crate::bindings::imports::weir::collector::batches::Batch,
            ) -> ::core::result::Result<$crate::Verdicts, $crate::EvalError> {
                let batch = $crate::Batch::new(events);
                SLOT.with(|slot| {
                    slot.call(|guest| <$guest as $crate::Trigger>::evaluate(guest, &batch))
                })
            }
        }

        #[cfg(target_arch = "wasm32")]
        $crate::bindings::trigger::__export_trigger!(
            Component with_types_in $crate::bindings::trigger
        );
    };
    (stage $guest:ty) => {
        impl $crate::bindings::stage::exports::weir::collector::stage::Guest for Component {
            fn analyze(
                event: &$crate::bindings::imports::weir::collector::batches::Batch,
                upstream: ::std::vec::Vec<(
                    ::std::string::String,
                    ::std::vec::Vec<$crate::Finding>,
                )>,
                cause: ::core::option::Option<$crate::TriggerRequest>,
            ) -> ::core::result::Result<
                $crate::bindings::stage::exports::weir::collector::stage::StageOutput,
                $crate::EvalError,
            > {
                let batch = $crate::Batch::new(event);
                let findings = SLOT.with(|slot| {
                    slot.call(|guest| {
                        <$guest as $crate::Stage>::analyze(guest, &batch, &upstream, cause.as_ref())
                    })
                })?;
                ::core::result::Result::Ok(
                    $crate::bindings::stage::exports::weir::collector::stage::StageOutput { findings },
                )
            }
        }

        #[cfg(target_arch = "wasm32")]
        $crate::bindings::stage::__export_stage!(
            Component with_types_in $crate::bindings::stage
        );
    };
    (memory $guest:ty) => {
        impl $crate::bindings::snapshots::exports::weir::collector::snapshots::Guest for Component {
            fn state_version() -> u32 {
                <$guest as $crate::Memory>::VERSION
            }

            fn snapshot() -> ::std::vec::Vec<u8> {
                SLOT.with(|slot| slot.snapshot())
            }

            fn restore(
                version: u32,
                state: ::std::vec::Vec<u8>,
            ) -> ::core::result::Result<(), ::std::string::String> {
                SLOT.with(|slot| slot.restore(version, &state))
            }
        }

        #[cfg(target_arch = "wasm32")]
        $crate::bindings::snapshots::__export_snapshots!(
            Component with_types_in $crate::bindings::snapshots
        );
    };
    (explain $guest:ty) => {
        impl $crate::bindings::explain::exports::weir::collector::explain::Guest for Component {
            fn explain(
                events: &$crate::bindings::imports::weir::collector::batches::Batch,
                row: u32,
            ) -> ::core::result::Result<::std::vec::Vec<$crate::Explanation>, $crate::EvalError> {
                let batch = $crate::Batch::new(events);
                SLOT.with(|slot| {
                    slot.call(|guest| <$guest as $crate::Explain>::explain(guest, &batch, row))
                })
            }
        }

        #[cfg(target_arch = "wasm32")]
        $crate::bindings::explain::__export_explain!(
            Component with_types_in $crate::bindings::explain
        );
    };
}
