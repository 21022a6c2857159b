//! The counts of slots and of their guests.

use prometheus::proto::MetricFamily;

use super::families::{Family, number};
use crate::sandbox::FaultReason;
use crate::slot::SlotStatistics;

/// A count of a slot, with its family's name and help.
type SlotCount = (&'static str, &'static str, fn(&SlotStatistics) -> f64);

/// What of a slot only grows.
const SLOT_COUNTERS: [SlotCount; 20] = [
    (
        "weir_slot_answered_calls_total",
        "Calls that ended in an answer.",
        |slot| number(slot.answered),
    ),
    (
        "weir_slot_answered_rows_total",
        "Rows of the calls that ended in an answer.",
        |slot| number(slot.rows_answered),
    ),
    (
        "weir_slot_unanswered_rows_total",
        "Rows that went without a verdict, for whatever reason.",
        |slot| number(slot.rows_unanswered),
    ),
    (
        "weir_slot_undecided_rows_total",
        "Rows that the guest itself could not decide.",
        |slot| number(slot.rows_undecided),
    ),
    (
        "weir_slot_rejected_calls_total",
        "Calls in which the guest gave no verdict, without a fault.",
        |slot| number(slot.rejected),
    ),
    (
        "weir_slot_restarts_total",
        "Instances made after a fault.",
        |slot| number(slot.restarts),
    ),
    (
        "weir_slot_passed_rows_total",
        "Rows without a verdict that were let pass.",
        |slot| number(slot.rows_passed),
    ),
    (
        "weir_slot_fault_dropped_rows_total",
        "Rows without a verdict that were dropped.",
        |slot| number(slot.rows_dropped),
    ),
    (
        "weir_slot_dead_lettered_rows_total",
        "Rows without a verdict that were dropped and kept among the dead letters.",
        |slot| number(slot.rows_dead_lettered),
    ),
    (
        "weir_slot_poisonous_rows_total",
        "Rows found that break the guest.",
        |slot| number(slot.rows_poisonous),
    ),
    (
        "weir_slot_lost_dead_letters_total",
        "Dead letters that could not be written.",
        |slot| number(slot.dead_letters_lost),
    ),
    (
        "weir_slot_faulted_batches_total",
        "Batches that broke the guest.",
        |slot| number(slot.faulted),
    ),
    (
        "weir_slot_retries_total",
        "Batches tried once more after a fault.",
        |slot| number(slot.retries),
    ),
    (
        "weir_slot_search_runs_total",
        "Runs made to find the rows that break the guest.",
        |slot| number(slot.search_runs),
    ),
    (
        "weir_slot_recycled_instances_total",
        "Instances made anew because their memory had grown.",
        |slot| number(slot.recycled),
    ),
    (
        "weir_slot_throttled_seconds_total",
        "Time that batches waited because the slot had used its share of the CPU.",
        |slot| slot.throttled.as_secs_f64(),
    ),
    ("weir_slot_fuel_total", "Fuel of all calls.", |slot| {
        number(slot.fuel)
    }),
    (
        "weir_slot_cpu_seconds_total",
        "CPU time of the slot's thread.",
        |slot| slot.cpu.as_secs_f64(),
    ),
    (
        "weir_slot_call_seconds_total",
        "Time of all calls by the clock.",
        |slot| slot.time.as_secs_f64(),
    ),
    (
        "weir_slot_dropped_log_lines_total",
        "Log lines of the guest over its limit.",
        |slot| number(slot.log_dropped),
    ),
];

/// What of a slot goes up and down.
const SLOT_GAUGES: [SlotCount; 6] = [
    (
        "weir_slot_memory_bytes",
        "Linear memory of the guest.",
        |slot| number(slot.memory_bytes as u64),
    ),
    (
        "weir_slot_row_fuel_p50",
        "Half of the calls of the guest in force took no more fuel a row.",
        |slot| number(slot.fuel_of_row.p50),
    ),
    (
        "weir_slot_row_fuel_p99",
        "99 of 100 calls of the guest in force took no more fuel a row.",
        |slot| number(slot.fuel_of_row.p99),
    ),
    (
        "weir_slot_generation",
        "How many guests were in force in this slot, this one included.",
        |slot| number(slot.generation),
    ),
    (
        "weir_slot_running",
        "1 while the slot runs, throttled or not; 0 when it is paused, quarantined, stalled or ended.",
        |slot| {
            number(
                ["running", "throttled"]
                    .contains(&slot.state.as_str())
                    .into(),
            )
        },
    ),
    (
        "weir_slot_quarantined",
        "1 while the slot's module is in quarantine.",
        |slot| number(slot.quarantine.is_some().into()),
    ),
];

/// All families of slots.
pub(super) fn of_slots(slots: &[SlotStatistics]) -> Vec<MetricFamily> {
    let mut faults = Family::counter(
        "weir_slot_faults_total",
        "Calls that did not end in an answer, by reason.",
    );
    let mut counters = Family::counter(
        "weir_guest_counter_total",
        "What a guest counts itself, by the name that it chose.",
    );
    for slot in slots {
        let name = ("slot", slot.slot.as_str());
        for reason in FaultReason::ALL {
            let count = slot.faults.get(&reason).copied().unwrap_or_default();
            faults.count(&[name, ("reason", reason.as_str())], count);
        }
        for (counter, count) in &slot.counters {
            counters.count(&[name, ("counter", counter)], *count);
        }
    }
    let plain = |family: fn(&str, &str) -> Family, (name, help, read): SlotCount| {
        let mut family = family(name, help);
        for slot in slots {
            family.line(&[("slot", &slot.slot)], read(slot));
        }
        family.made
    };
    let mut families = vec![faults.made, counters.made];
    families.extend(SLOT_COUNTERS.map(|count| plain(Family::counter, count)));
    families.extend(SLOT_GAUGES.map(|count| plain(Family::gauge, count)));
    families
}
