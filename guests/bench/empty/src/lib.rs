//! A bench guest: a filter that answers at once, so that what is measured is the call.

use weir_guest::{Batch, EvalError, Filter, Guest, NoSettings, Selection, Wants};

struct Empty;

impl Guest for Empty {
    type Settings = NoSettings;

    fn new(_: NoSettings) -> Result<Self, String> {
        Ok(Self)
    }

    fn wants(&self) -> Wants {
        Wants::of("process", &["pid"])
    }
}

impl Filter for Empty {
    fn keep(&mut self, _: &Batch<'_>) -> Result<Selection, EvalError> {
        Ok(Selection::All)
    }
}

weir_guest::export!(filter Empty);
