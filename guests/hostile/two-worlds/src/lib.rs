//! A component that is a filter and a trigger, too: no world, so loading it is refused.

use weir_guest::bindings::imports::weir::collector::batches::Batch as Handle;
use weir_guest::bindings::trigger::exports::weir::collector::trigger;
use weir_guest::{EvalError, Verdicts};

weir_guest::export! {
    filter over process { name: text }
    keep |row| row.name().is_some()
}

struct Second;

impl trigger::Guest for Second {
    fn evaluate(_: &Handle) -> Result<Verdicts, EvalError> {
        Ok(Verdicts {
            firings: Vec::new(),
            undecided: Vec::new(),
        })
    }
}

// Away from wasm nothing is exported; it is in use all the same.
const _: () = weir_guest::glue::used::<Second>();

#[cfg(target_arch = "wasm32")]
weir_guest::bindings::trigger::__export_trigger!(
    Second with_types_in weir_guest::bindings::trigger
);
