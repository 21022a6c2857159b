//! Which bus: from a choice to an [`EventBus`].
//!
//! The only place that knows all makes. It reads no config.

use std::sync::Arc;

use crate::pubsub::{EventBus, LocalBus, LocalBusOptions, NullBus};
use crate::socket::{
    BindError, BoundBroker, BrokerClient, BrokerOptions, ClientError, ClientOptions,
};

/// A make of bus, with what it needs.
#[derive(Debug, Clone)]
pub enum BusChoice {
    /// In this process, without a socket.
    Local,
    /// In this process, and others reach it over a socket.
    Broker(Box<BrokerOptions>),
    /// Another process's bus.
    Client(Box<ClientOptions>),
    /// No bus: everything is counted as dropped\[disabled\].
    None,
}

/// A bus that is open.
pub struct Opened {
    /// The bus.
    pub bus: Arc<dyn EventBus>,
    /// For the kind `broker`: the socket, taken and not yet served, and the bus that it is to serve.
    pub broker: Option<(BoundBroker, Arc<LocalBus>)>,
}

/// Why there is no bus.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The socket can't be served.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// There can be no client.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// Opens a bus.
///
/// # Errors
///
/// [`OpenError`], for the kinds that need a socket.
pub fn open(choice: BusChoice) -> Result<Opened, OpenError> {
    open_within(choice, LocalBusOptions::default())
}

/// As [`open`], with other bounds for a bus in this process. (Those of a client are in its options.)
///
/// # Errors
///
/// As [`open`].
pub fn open_within(choice: BusChoice, options: LocalBusOptions) -> Result<Opened, OpenError> {
    let alone = |bus: Arc<dyn EventBus>| Opened { bus, broker: None };
    Ok(match choice {
        BusChoice::Local => alone(Arc::new(LocalBus::with_options(options))),
        BusChoice::None => alone(Arc::new(NullBus::new())),
        BusChoice::Client(client) => alone(Arc::new(BrokerClient::open(*client)?)),
        BusChoice::Broker(broker) => {
            let bound = BoundBroker::bind(*broker)?;
            let bus = Arc::new(LocalBus::with_options(options));
            Opened {
                bus: Arc::clone(&bus) as Arc<dyn EventBus>,
                broker: Some((bound, bus)),
            }
        }
    })
}
