//! Digests where there is no `/proc`: none.

/// Tells nothing.
pub(in crate::process) struct Hashes;

impl Hashes {
    pub(in crate::process) const fn new() -> Self {
        Self
    }

    /// Why there are no digests, if that is a trouble; it isn't, here.
    #[expect(
        clippy::unused_self,
        reason = "where there are digests it looks at them"
    )]
    pub(in crate::process) const fn trouble(&self) -> Option<String> {
        None
    }
}
