//! A component that is no guest: it exports none of the worlds, so loading it is refused.
