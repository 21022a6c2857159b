//! The triggerable sources where there is no `/proc`: they are there by name, and not offered.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::{
    About, Answer, AnswerError, BINARY_HASH_NAME, BinaryHashOptions, PROCESS_DETAILS_NAME,
    Triggerable,
};

macro_rules! not_offered {
    ($($(#[$doc:meta])* $source:ident, $default:ident;)*) => {$(
        $(#[$doc])*
        pub struct $source {
            name: String,
        }

        impl $source {
            /// The same under another name.
            #[must_use]
            pub fn named(mut self, name: &str) -> Self {
                name.clone_into(&mut self.name);
                self
            }
        }

        impl Triggerable for $source {
            fn name(&self) -> &str {
                &self.name
            }

            fn analyses(&self) -> &'static [&'static str] {
                &[$default]
            }

            fn unavailable(&self) -> Option<String> {
                Some(AnswerError::NotOffered.to_string())
            }

            fn answer(
                &self,
                _: &About,
                _: Instant,
                _: &AtomicBool,
            ) -> Result<Answer, AnswerError> {
                Err(AnswerError::NotOffered)
            }
        }
    )*};
}

not_offered! {
    /// Digests of executables; not offered here.
    BinaryHash, BINARY_HASH_NAME;
    /// Details of processes; not offered here.
    ProcessDetails, PROCESS_DETAILS_NAME;
}

impl BinaryHash {
    /// A source that offers nothing.
    #[must_use]
    pub fn new(_: BinaryHashOptions) -> Self {
        Self {
            name: BINARY_HASH_NAME.to_owned(),
        }
    }
}

impl ProcessDetails {
    /// A source that offers nothing.
    #[must_use]
    pub fn new(_: Duration) -> Self {
        Self {
            name: PROCESS_DETAILS_NAME.to_owned(),
        }
    }
}

impl Default for ProcessDetails {
    fn default() -> Self {
        Self::new(Duration::ZERO)
    }
}
