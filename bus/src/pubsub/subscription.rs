//! A subscription, as the bus's table has it: what it wants, and where that goes.

use std::cmp::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::outlet::Outlet;
use super::rows::RowFilter;
use super::statistics::SubscriberStatistics;
use super::tables::TableGuard;
use super::{EventFilter, PublisherId, SubscriptionId};
use crate::batch::{BatchHeader, SourceLoss};
use crate::topic::{TopicPattern, families};

#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) id: SubscriptionId,
    pub(super) name: Arc<str>,
    pub(super) patterns: Vec<TopicPattern>,
    pub(super) filter: EventFilter,
    /// Shared with every subscription that asks the same.
    pub(super) rows: Option<Arc<RowFilter>>,
    /// Whose events it doesn't get.
    pub(super) without: Option<PublisherId>,
    /// It gets tables, so often, and nothing else.
    pub(super) every: Option<Duration>,
    /// Asks for them as long as it is there.
    pub(super) tables: OnceLock<TableGuard>,
    pub(super) outlet: Outlet,
}

impl PartialEq for Subscription {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Subscription {}

impl PartialOrd for Subscription {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Subscription {
    fn cmp(&self, other: &Self) -> Ordering {
        self.id.cmp(&other.id)
    }
}

impl Subscription {
    #[inline]
    pub(super) fn wants(&self, from: PublisherId, header: &BatchHeader) -> bool {
        self.without != Some(from) && self.filter.wants(header)
    }

    /// Whether rows that a source lost could have been for it. Filters of rows could have let them through.
    pub(super) fn could_have_got(&self, from: PublisherId, loss: &SourceLoss) -> bool {
        let all = families::all_events(loss.kind);
        let is_asked_for = |pattern: &TopicPattern| pattern.intersection(&all).is_some();
        self.every.is_none()
            && self.without != Some(from)
            && self.filter.wants_of(loss.kind, &loss.source)
            && self.patterns.iter().any(is_asked_for)
    }

    /// Whether its batches must have been looked into.
    pub(super) fn reads_columns(&self) -> bool {
        self.rows.is_some() || matches!(self.outlet, Outlet::Columns(_))
    }

    /// Whether its receiver may come back for what it missed.
    pub(super) fn is_resumable(&self) -> bool {
        matches!(self.outlet, Outlet::Parcels(_))
    }

    pub(super) fn statistics(&self) -> SubscriberStatistics {
        SubscriberStatistics {
            id: self.id,
            name: self.name.as_ref().to_owned(),
            patterns: self.patterns.clone(),
            policy: self.outlet.policy(),
            limits: self.outlet.limits(),
            standing: self.outlet.standing(),
            every: self.every,
            away: self.outlet.is_away(),
            counts: self.outlet.counts(),
        }
    }
}
