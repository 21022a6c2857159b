//! The rows of one part of a look, in memory that is used again.
//!
//! It measures nothing. The invariant: no row has a value that isn't a finite number, and there are never more
//! rows than their bound.

use std::fmt::{Arguments, Write as _};

use weir_bus::Timestamp;
use weir_bus::event::PerformanceEvent;

use super::metric::Metric;

/// Rows of one part: 8,192 cpus with 7 modes each.
const ROWS_MAX: usize = 65_536;

/// Rows that are filled again at each look.
#[derive(Default)]
pub(super) struct Rows {
    rows: Vec<PerformanceEvent>,
    used: usize,
    timestamp: Timestamp,
}

impl Rows {
    /// Begins anew, with rows of that moment.
    pub(super) fn begin(&mut self, timestamp: Timestamp) {
        self.used = 0;
        self.timestamp = timestamp;
    }

    /// The rows.
    pub(super) fn as_slice(&self) -> &[PerformanceEvent] {
        self.rows.get(..self.used).unwrap_or_default()
    }

    /// A value of the machine.
    pub(super) fn push(&mut self, metric: &Metric, value: f64) {
        if let Some(row) = self.next(metric, value) {
            row.component = None;
        }
    }

    /// A value of one of its parts.
    pub(super) fn push_of(&mut self, metric: &Metric, component: Arguments<'_>, value: f64) {
        if let Some(row) = self.next(metric, value) {
            let text = row.component.get_or_insert_default();
            text.clear();
            // Writing to a text can't fail.
            let _ = text.write_fmt(component);
        }
    }

    /// A value of a process.
    pub(super) fn push_of_process(
        &mut self,
        metric: &Metric,
        (pid, start_time): (u32, Timestamp),
        value: f64,
    ) {
        if let Some(row) = self.next(metric, value) {
            row.component = None;
            row.pid = Some(pid);
            row.process_start_time = Some(start_time);
        }
    }

    fn next(&mut self, metric: &Metric, value: f64) -> Option<&mut PerformanceEvent> {
        if !value.is_finite() || self.used >= ROWS_MAX {
            return None;
        }
        if self.used == self.rows.len() {
            self.rows.push(PerformanceEvent::default());
        }
        let row = self.rows.get_mut(self.used)?;
        self.used += 1;
        row.timestamp = self.timestamp;
        metric.name.clone_into(&mut row.metric);
        metric.unit.clone_into(&mut row.unit);
        row.value = value;
        row.pid = None;
        row.process_start_time = None;
        Some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::super::metric::{CPU_COUNT, DISK_IO, OWN_CPU};
    use super::*;

    #[test]
    fn a_row_keeps_nothing_of_the_one_that_was_there_before() {
        let mut rows = Rows::default();
        rows.begin(Timestamp(1));
        rows.push_of_process(&OWN_CPU, (7, Timestamp(5)), 0.5);
        rows.push_of(&DISK_IO, format_args!("a:read"), 1.0);
        rows.begin(Timestamp(2));
        rows.push_of(&DISK_IO, format_args!("b:read"), 2.0);
        rows.push(&CPU_COUNT, 2.0);
        let told: Vec<_> = rows
            .as_slice()
            .iter()
            .map(|row| {
                (
                    row.timestamp.0,
                    row.component.as_deref(),
                    row.pid,
                    row.value,
                )
            })
            .collect();
        assert_eq!(told, [(2, Some("b:read"), None, 2.0), (2, None, None, 2.0)]);
        assert!(
            rows.as_slice()
                .iter()
                .all(|row| row.process_start_time.is_none())
        );
        rows.begin(Timestamp(3));
        assert!(rows.as_slice().is_empty());
    }

    #[test]
    fn what_is_no_number_is_no_row() {
        let mut rows = Rows::default();
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            rows.push(&CPU_COUNT, value);
        }
        assert!(rows.as_slice().is_empty());
        for _ in 0..ROWS_MAX + 5 {
            rows.push(&CPU_COUNT, 1.0);
        }
        assert_eq!(rows.as_slice().len(), ROWS_MAX);
    }
}
