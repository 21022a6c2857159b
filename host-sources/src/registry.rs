//! Which sources there are, and which this host can't offer.
//!
//! It runs nothing. The invariant: no two sources share a name, whether they can be offered or not.

use std::sync::Arc;

use weir_bus::SourceCaps;

use crate::source::EventSource;

/// Sources in one registry where nothing else is said: each has a thread and a buffer of its own.
pub const SOURCES_MAX_DEFAULT: usize = 16;
/// Bytes of a source's name: it is one token of a topic, beside others.
pub const SOURCE_NAME_BYTES_MAX: usize = 64;

/// Why a source isn't registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// Another source has that name.
    #[error("two sources are called `{name}`: names are unique")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// There are as many sources as there may be.
    #[error("source `{name}` is one more than the {sources_max} sources that there may be")]
    Full {
        /// The source that finds no place.
        name: String,
        /// How many there may be.
        sources_max: usize,
    },
    /// The name is no topic token.
    #[error(
        "source name `{name}` is none: it must be 1 to {SOURCE_NAME_BYTES_MAX} of the characters A-Z, a-z, 0-9, _ and -"
    )]
    Name {
        /// The name.
        name: String,
    },
}

/// A source that this host can't offer.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Unavailable {
    /// The source's name.
    pub source: String,
    /// Why, in words that a person can act on.
    pub reason: String,
}

/// The sources of a runtime.
pub struct Registry {
    sources: Vec<Arc<dyn EventSource>>,
    unavailable: Vec<Unavailable>,
    sources_max: usize,
}

impl Default for Registry {
    fn default() -> Self {
        Self::with_sources_max(SOURCES_MAX_DEFAULT)
    }
}

impl Registry {
    /// An empty registry with room for [`SOURCES_MAX_DEFAULT`] sources.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty registry with room for `sources_max` sources.
    #[must_use]
    pub const fn with_sources_max(sources_max: usize) -> Self {
        Self {
            sources: Vec::new(),
            unavailable: Vec::new(),
            sources_max,
        }
    }

    /// Adds a source, or notes why this host can't offer it.
    ///
    /// # Errors
    /// If its name isn't one, or is another's, or there are too many sources.
    pub fn register(&mut self, source: Arc<dyn EventSource>) -> Result<(), RegistryError> {
        let name = source.name();
        self.check(name)?;
        match source.unavailable() {
            Some(reason) => self.unavailable.push(Unavailable {
                source: name.to_owned(),
                reason,
            }),
            None => self.sources.push(source),
        }
        Ok(())
    }

    /// Notes a source that this host can't offer, and that therefore wasn't even made.
    ///
    /// # Errors
    /// As for [`Self::register`].
    pub fn leave_out(&mut self, name: &str, reason: &str) -> Result<(), RegistryError> {
        self.check(name)?;
        self.unavailable.push(Unavailable {
            source: name.to_owned(),
            reason: reason.to_owned(),
        });
        Ok(())
    }

    fn check(&self, name: &str) -> Result<(), RegistryError> {
        let fits = (1..=SOURCE_NAME_BYTES_MAX).contains(&name.len());
        let is_token = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        let name = name.to_owned();
        if !fits || !is_token {
            return Err(RegistryError::Name { name });
        }
        let taken = self.sources.iter().any(|source| source.name() == name)
            || self.unavailable.iter().any(|left| left.source == name);
        if taken {
            return Err(RegistryError::Duplicate { name });
        }
        if self.sources.len() + self.unavailable.len() >= self.sources_max {
            return Err(RegistryError::Full {
                name,
                sources_max: self.sources_max,
            });
        }
        Ok(())
    }

    /// The sources, in the order in which they came.
    #[must_use]
    pub fn sources(&self) -> &[Arc<dyn EventSource>] {
        &self.sources
    }

    /// What this host can't offer.
    #[must_use]
    pub fn unavailable(&self) -> &[Unavailable] {
        &self.unavailable
    }

    /// What all sources together can do.
    #[must_use]
    pub fn capabilities(&self) -> SourceCaps {
        self.sources
            .iter()
            .fold(SourceCaps::empty(), |all, source| {
                all | source.capabilities()
            })
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use weir_bus::Pace;

    use super::*;
    use crate::source::{SourceContext, SourceError};

    struct Named(String, SourceCaps, Option<&'static str>);

    #[async_trait]
    impl EventSource for Named {
        fn name(&self) -> &str {
            &self.0
        }
        fn capabilities(&self) -> SourceCaps {
            self.1
        }
        fn pace(&self) -> Pace {
            Pace::Periodic
        }
        fn unavailable(&self) -> Option<String> {
            self.2.map(str::to_owned)
        }
        async fn start(&self, _: SourceContext) -> Result<(), SourceError> {
            Ok(())
        }
    }

    fn named(name: &str) -> Arc<dyn EventSource> {
        Arc::new(Named(name.to_owned(), SourceCaps::PROCESS, None))
    }

    #[test]
    fn a_source_without_a_name_of_its_own_is_refused_with_the_remedy() {
        let mut registry = Registry::with_sources_max(2);
        registry.register(named("one")).unwrap();
        let mut check = |name: &str, message: &str| {
            let error = registry.register(named(name)).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        };
        check("one", "two sources are called `one`");
        check("", "must be 1 to 64");
        check("a.b", "source name `a.b` is none");
        check("a b", "source name `a b` is none");
        check(&"x".repeat(65), "must be 1 to 64");
        registry.leave_out("two", "no such kernel").unwrap();
        let error = registry.register(named("two")).unwrap_err();
        assert!(matches!(error, RegistryError::Duplicate { .. }));
        let error = registry.register(named("three")).unwrap_err().to_string();
        assert_eq!(
            error,
            "source `three` is one more than the 2 sources that there may be"
        );
    }

    #[test]
    fn sixteen_sources_are_the_most_by_default() {
        let mut registry = Registry::new();
        for index in 0..SOURCES_MAX_DEFAULT {
            registry.register(named(&format!("s{index}"))).unwrap();
        }
        let error = registry.register(named("more")).unwrap_err();
        assert!(matches!(
            error,
            RegistryError::Full {
                sources_max: 16,
                ..
            }
        ));
    }

    #[test]
    fn what_a_host_cannot_offer_is_left_out_with_its_reason() {
        let mut registry = Registry::new();
        let caps = SourceCaps::NETWORK | SourceCaps::REALTIME;
        let missing = Named("net".to_owned(), caps, Some("needs CAP_NET_ADMIN"));
        registry.register(Arc::new(missing)).unwrap();
        registry.register(named("process")).unwrap();
        let files = Named("files".to_owned(), SourceCaps::FILESYSTEM, None);
        registry.register(Arc::new(files)).unwrap();
        assert_eq!(
            registry.capabilities(),
            SourceCaps::PROCESS | SourceCaps::FILESYSTEM
        );
        assert_eq!(registry.sources().len(), 2);
        let expected = Unavailable {
            source: "net".to_owned(),
            reason: "needs CAP_NET_ADMIN".to_owned(),
        };
        assert_eq!(registry.unavailable(), [expected]);
    }
}
