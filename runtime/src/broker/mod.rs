//! The daemon's side of the socket: who may connect, what becomes of what clients publish, and answers
//! to what they ask. The socket itself is `weir-bus`'s.

mod control;
mod ingress;

use weir_bus::BusChoice;
use weir_bus::pubsub::{LocalBusOptions, QueueLimits, RingLimits};
use weir_bus::socket::{Access, AccessError, BrokerOptions, ClientOptions, Rule, Who};

pub(crate) use control::{Asked, Capabilities, Control, ControlDesk};
pub(crate) use ingress::{LaneIngress, SOCKET_SOURCE};

use crate::config::{AccessSettings, BusKind, BusSettings};

/// Users or groups of the config that this machine doesn't have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {error}")]
pub struct IdentityError {
    /// The key of the config.
    pub key: String,
    /// What is missing.
    pub error: AccessError,
}

/// The bus that the config asks for.
///
/// # Errors
/// If it names a user or a group that isn't there.
pub(crate) fn choice(settings: &BusSettings, component: &str) -> Result<BusChoice, IdentityError> {
    Ok(match settings.kind {
        BusKind::Local => BusChoice::Local,
        BusKind::None => BusChoice::None,
        BusKind::Broker => BusChoice::Broker(Box::new(broker_options(settings, component)?)),
        BusKind::Client => {
            BusChoice::Client(Box::new(ClientOptions::new(&settings.socket, component)))
        }
    })
}

/// How the config bounds a bus in this process.
pub(crate) fn bounds(settings: &BusSettings) -> LocalBusOptions {
    LocalBusOptions {
        bytes_max: settings.bytes_max as u64,
        ..LocalBusOptions::default()
    }
}

/// How the config says that a broker serves.
///
/// # Errors
/// If it names a user or a group that isn't there.
pub(crate) fn broker_options(
    settings: &BusSettings,
    component: &str,
) -> Result<BrokerOptions, IdentityError> {
    let group = settings.group.as_deref().map(|name| {
        weir_bus::socket::group_id(name).map_err(|error| IdentityError {
            key: "bus.group".to_owned(),
            error,
        })
    });
    let group = group.transpose()?;
    let rules = settings
        .access
        .iter()
        .map(|(name, access)| rule(name, access));
    let rules = rules.collect::<Result<Vec<_>, _>>()?;
    let mut options = BrokerOptions::new(&settings.socket);
    options.group = group;
    options.access = Access::new(rules, group);
    options.connections_max = settings.connections_max;
    options.heartbeat = settings.heartbeat;
    options.component = component.to_owned();
    options.queue_limits = QueueLimits {
        items_max: settings.queue_batches_max,
        bytes_max: settings.queue_bytes_max as u64,
    };
    options.ring = RingLimits {
        bytes_max: settings.ring_bytes_max as u64,
        age_max: settings.ring_age_max,
    };
    Ok(options)
}

fn rule(name: &str, access: &AccessSettings) -> Result<Rule, IdentityError> {
    let at = |field: &str| {
        let key = format!("bus.access.{name}.{field}");
        move |error| IdentityError { key, error }
    };
    let who = match (&access.user, &access.group) {
        (Some(user), _) => Who::User(weir_bus::socket::user_id(user).map_err(at("user"))?),
        (None, Some(group)) => Who::Group(weir_bus::socket::group_id(group).map_err(at("group"))?),
        // The config's check has found one of them; a rule for nobody is no harm.
        (None, None) => Who::User(u32::MAX),
    };
    Ok(Rule {
        name: name.to_owned(),
        who,
        publish: access.publish.clone(),
        subscribe: access.subscribe.clone(),
    })
}
