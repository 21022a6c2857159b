//! What the row filters leave of a batch, each made once for all who ask the same.

use std::sync::Arc;

use arrow_buffer::BooleanBuffer;

use super::rows::RowFilter;
use crate::batch::{Batch, Selection};

/// What a row filter left of a batch.
#[derive(Clone)]
pub(super) enum Filtered {
    Nothing,
    Rows(Arc<Batch>),
    /// The batch couldn't be cut; as many rows as should have been in it.
    Failed(u64),
}

/// What the filters of one publish left, each made once.
#[derive(Default)]
pub(super) struct FilteredOnce {
    by_filter: Vec<(Arc<RowFilter>, BooleanBuffer, Filtered)>,
}

impl FilteredOnce {
    pub(super) fn get(&mut self, filter: &Arc<RowFilter>, batch: &Arc<Batch>) -> Filtered {
        let known = |(known, _, _): &&(Arc<RowFilter>, _, _)| Arc::ptr_eq(known, filter);
        if let Some((_, _, filtered)) = self.by_filter.iter().find(known) {
            return filtered.clone();
        }
        let mask = filter.mask(batch);
        // Different filters often select the same rows: a pid by its number and by its name.
        let same = self.by_filter.iter().find(|(_, known, _)| *known == mask);
        let filtered = match same {
            Some((_, _, filtered)) => filtered.clone(),
            None => cut(batch, &mask),
        };
        self.by_filter
            .push((Arc::clone(filter), mask, filtered.clone()));
        filtered
    }
}

pub(super) fn cut(batch: &Arc<Batch>, mask: &BooleanBuffer) -> Filtered {
    let selected = mask.count_set_bits();
    if selected == 0 {
        return Filtered::Nothing;
    }
    if selected == Batch::rows(batch) {
        return Filtered::Rows(Arc::clone(batch));
    }
    let bits = mask.sliced();
    match batch.select(&Selection::Mask(bits.as_slice().to_vec())) {
        Ok(rows) => Filtered::Rows(Arc::new(rows)),
        Err(error) => {
            tracing::error!(topic = %batch.topic(), %error, "a filtered batch could not be made");
            Filtered::Failed(selected as u64)
        }
    }
}
