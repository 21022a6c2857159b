//! Items on their way out of a queue: dropped under its lock, destroyed after it.
//!
//! They are counted already. The invariant: no item's destructor runs under the lock.

/// Items that were dropped under the lock and are destroyed after it.
#[derive(Debug)]
pub(crate) struct Evicted<T> {
    /// The usual one, so that a full queue allocates nothing for each push.
    first: Option<T>,
    others: Vec<T>,
}

impl<T> Evicted<T> {
    pub(crate) const fn none() -> Self {
        Self {
            first: None,
            others: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(crate) fn put(&mut self, item: T) {
        match self.first {
            None => self.first = Some(item),
            Some(_) => self.others.push(item),
        }
    }
}
