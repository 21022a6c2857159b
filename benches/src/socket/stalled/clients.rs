//! Clients that subscribe and never read again. They need no process: a socket that is held is enough.

use super::super::broker::Broker;
use super::super::line::Line;
use super::super::nats::Nats;
use super::super::raw::Raw;
use super::super::redis::Redis;
use super::super::side::{Address, Role, Side, System};
use super::super::weir::Weir;

/// Their connections.
pub(super) struct Stalled {
    lines: Vec<Line>,
}

impl Stalled {
    /// Connects so many; each is subscribed when this returns.
    pub(super) fn connect(broker: &Broker, count: usize) -> anyhow::Result<Self> {
        let connect = match broker.system {
            System::Weir => one::<Weir>,
            System::Nats => one::<Nats>,
            System::Redis => one::<Redis>,
            System::Raw => one::<Raw>,
        };
        let lines = (0..count).map(|_| connect(&broker.address));
        Ok(Self {
            lines: lines.collect::<Result<_, _>>()?,
        })
    }

    pub(super) const fn count(&self) -> usize {
        self.lines.len()
    }

    /// How many of them the broker hasn't cut off.
    pub(super) fn connected(&mut self) -> anyhow::Result<usize> {
        let mut connected = 0;
        for line in &mut self.lines {
            connected += usize::from(!line.is_ended()?);
        }
        Ok(connected)
    }

    /// What the kernel holds for each of them.
    pub(super) fn unread_bytes(&mut self) -> anyhow::Result<Vec<u64>> {
        self.lines.iter_mut().map(Line::unread_bytes).collect()
    }

    /// Lets one read again.
    pub(super) fn take_one(&mut self) -> Option<Line> {
        self.lines.pop()
    }
}

fn one<S: Side>(address: &Address) -> anyhow::Result<Line> {
    let mut side = S::default();
    let mut line = S::open(address, Role::Stalled)?;
    side.greet(&mut line, Role::Stalled)?;
    Ok(line)
}
