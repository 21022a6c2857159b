//! What `export!` writes calls to: one guest in its instance. Not for authors.

use crate::bindings::lifecycle::exports::weir::collector::lifecycle as wit;
use crate::{EvalError, Guest, settings};
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

impl<G: Guest> Default for Slot<G> {
    fn default() -> Self {
        Self::new()
    }
}

/// Nothing, but that the type is used.
pub const fn used<T>() {}
