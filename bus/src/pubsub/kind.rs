//! The makes of bus, by the names of the config's `bus.kind`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What `bus.kind` can say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BusKind {
    /// In this process, without a socket.
    #[default]
    Local,
    /// In this process, and others reach it over a socket.
    Broker,
    /// Another process's bus.
    Client,
    /// No bus: everything is counted as dropped\[disabled\].
    None,
}

impl BusKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Local, Self::Broker, Self::Client, Self::None];

    /// The name in the config.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Broker => "broker",
            Self::Client => "client",
            Self::None => "none",
        }
    }
}

impl fmt::Display for BusKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text that names no kind of bus.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no kind of bus; the kinds are local, broker, client, none")]
pub struct UnknownBusKind(pub String);

impl FromStr for BusKind {
    type Err = UnknownBusKind;

    fn from_str(text: &str) -> Result<Self, UnknownBusKind> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| UnknownBusKind(text.to_owned()))
    }
}
