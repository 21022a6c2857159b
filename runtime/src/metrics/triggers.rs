//! The counts of triggers and of their requests.

use prometheus::proto::MetricFamily;

use super::families::Family;
use crate::trigger::{Ending, Refusal, TriggersStatus};

/// All families of triggers.
pub(super) fn of_triggers(triggers: &TriggersStatus) -> Vec<MetricFamily> {
    let mut fired = Family::counter(
        "weir_trigger_fired_rows_total",
        "Rows that a trigger fired on.",
    );
    let mut undecided = Family::counter(
        "weir_trigger_undecided_rows_total",
        "Rows that a trigger could not decide.",
    );
    let mut refused = Family::counter(
        "weir_trigger_refused_firings_total",
        "Firings that became no request, by reason.",
    );
    let mut ended = Family::counter(
        "weir_trigger_ended_requests_total",
        "Requests by how they ended.",
    );
    let mut open = Family::gauge(
        "weir_trigger_open_requests",
        "Requests that wait or are worked on.",
    );
    for trigger in &triggers.triggers {
        let labels = [
            ("slot", trigger.slot.as_str()),
            ("rule", trigger.rule.as_str()),
        ];
        let mut counts = trigger.counts;
        fired.count(&labels, counts.fired);
        undecided.count(&labels, counts.undecided);
        for why in Refusal::ALL {
            let labels = [labels[0], labels[1], ("reason", why.as_str())];
            refused.count(&labels, *counts.refused(why));
        }
        for how in Ending::ALL {
            let labels = [labels[0], labels[1], ("ending", how.as_str())];
            ended.count(&labels, *counts.ended(how));
        }
        open.count(&labels, counts.waiting.saturating_add(counts.under_way));
    }
    let families = [fired, undecided, refused, ended, open];
    families.into_iter().map(|family| family.made).collect()
}
