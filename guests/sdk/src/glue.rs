//! What `export!` writes calls to: one guest in its instance. Not for authors.

use crate::bindings::lifecycle::exports::weir::collector::lifecycle as wit;
use crate::{EvalError, Guest, Memory, settings};
use std::cell::RefCell;

/// The place of the one guest of this instance: empty until `init`.
pub struct Slot<G>(RefCell<Option<G>>);

impl<G: Guest> Slot<G> {
    /// An empty place.
    #[must_use]
    pub const fn new() -> Self {
        Self(RefCell::new(None))
    }

    /// Makes the guest of its settings.
    ///
    /// # Errors
    /// What the operator sees.
    pub fn init(&self, config: &str) -> Result<wit::Wants, String> {
        let guest = G::new(settings(G::DEFAULTS, config)?)?;
        let wants = guest.wants().into();
        *self.0.borrow_mut() = Some(guest);
        Ok(wants)
    }

    /// Lets the guest check itself.
    ///
    /// # Errors
    /// What the operator sees.
    pub fn self_test(&self) -> Result<(), String> {
        match &*self.0.borrow() {
            Some(guest) => guest.self_test(),
            None => Err("`self-test` was called before `init`".to_owned()),
        }
    }

    /// Calls the guest.
    ///
    /// # Errors
    /// What the guest answered; `fatal` before `init`.
    #[inline]
    pub fn call<T>(
        &self,
        call: impl FnOnce(&mut G) -> Result<T, EvalError>,
    ) -> Result<T, EvalError> {
        match &mut *self.0.borrow_mut() {
            Some(guest) => call(guest),
            None => Err(EvalError::Fatal("a call came before `init`".to_owned())),
        }
    }
}

impl<G: Guest + Memory> Slot<G> {
    /// What the guest has in memory; empty before `init`.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        self.0
            .borrow()
            .as_ref()
            .map(Memory::snapshot)
            .unwrap_or_default()
    }

    /// Puts back what a guest had in memory.
    ///
    /// # Errors
    /// Another version than its own, or what the guest says of the bytes.
    pub fn restore(&self, version: u32, state: &[u8]) -> Result<(), String> {
        if version != G::VERSION {
            return Err(format!(
                "a memory of version {version}, and this guest has {}",
                G::VERSION
            ));
        }
        match &mut *self.0.borrow_mut() {
            Some(guest) => guest.restore(state),
            None => Err("`restore` was called before `init`".to_owned()),
        }
    }
}

impl<G: Guest> Default for Slot<G> {
    fn default() -> Self {
        Self::new()
    }
}

/// Nothing, but that the type is used.
pub const fn used<T>() {}
