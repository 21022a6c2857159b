//! Rows that stand in a batch of the snapshot before: their columns are copied, and only what is measured is made anew.
//!
//! Invariant: they count, and are bounded, as rows that are appended one by one.

use super::{Batcher, State};
use crate::batch::{Batch, Emit};
use crate::count::DropReason;
use crate::event::MeasuredRow;

impl Batcher {
    /// Keeps the batches of the snapshot that has begun for [`Batcher::end_snapshot`] to hand out: its rows may stand
    /// in the next one.
    pub fn keep_snapshot(&self) {
        self.state().kept = Some(Vec::new());
    }

    /// Appends rows that stand in a batch from a row on. Timestamps and what is measured come from `rows`, the rest is
    /// what it is in the batch; all go to the topic of the first. Rows that don't stand there count as invalid.
    pub fn append_again<R: MeasuredRow>(&self, rows: &[R], (of, from): (&Batch, usize)) -> Emit {
        let mut state = self.state();
        if state.ended {
            return Emit::Closed;
        }
        let mut wake = false;
        let mut rest = rows;
        while !rest.is_empty() && !self.is_full(&state) {
            let at = from.saturating_add(rows.len() - rest.len());
            let (taken, closed) = self.take_again(&mut state, rest, (of, at));
            wake |= closed;
            let Some(after) = rest.get(taken..).filter(|_| taken > 0) else {
                break;
            };
            rest = after;
        }
        let reason = match self.is_full(&state) {
            true => DropReason::Backpressure,
            false => DropReason::Invalid,
        };
        self.appended(state, (rest.len() as u64, reason), wake)
    }

    /// Appends as many of these rows as the open batch and the buffer have room for; answers how many, and whether a
    /// batch was closed.
    fn take_again<R: MeasuredRow>(
        &self,
        state: &mut State,
        rows: &[R],
        (of, from): (&Batch, usize),
    ) -> (usize, bool) {
        let Some(first) = rows.first() else {
            return (0, false);
        };
        let sequence = state.next_sequence;
        let room = self.buffer_rows_max.saturating_sub(self.waiting(state));
        let (index, wake) = self.open_for(state, first.kind(), first.topic_leaf(), sequence);
        let Some(open) = state.open.get_mut(index) else {
            return (0, wake);
        };
        let builder = &mut open.builder;
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let room = room.min(self.limits.batch_rows_max.saturating_sub(builder.rows()));
        let mut count = rows.len().min(room.max(1));
        let bytes_free = self.limits.batch_bytes_max.saturating_sub(builder.bytes());
        // One alone may be larger, as when it is appended by itself.
        while count > 1 {
            match R::bytes_of(of, from..from.saturating_add(count)) {
                Some(bytes) if bytes > bytes_free => count /= 2,
                Some(_) => break,
                None => return (0, wake),
            }
        }
        let rows = rows.get(..count).unwrap_or(rows);
        if !R::append_again(rows, (of, from), builder, sequence) {
            return (0, wake);
        }
        let taken = rows.len() as u64;
        state.next_sequence += taken;
        state.counts.produced += taken;
        state.counts.in_batcher += taken;
        let closed = self.close_if_full(state, index);
        (rows.len(), wake | closed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Serialize;
    use serde::de::DeserializeOwned;
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::batch::{BatcherLimits, Pace};
    use crate::event::{
        CollectionEvent, FieldType, FilesystemEvent, FindingEvent, InventoryEvent, Kind,
        NetworkEvent, PerformanceEvent, ProcessEvent, TriggerEvent,
    };

    /// What isn't taken from where a row stands.
    fn fresh(kind: Kind) -> &'static [&'static str] {
        match kind {
            Kind::Process => &["timestamp", "cpu_usage", "memory_bytes", "state"],
            _ => &["timestamp"],
        }
    }

    /// Fields that topics are made of: all rows here go to the same.
    const OF_TOPICS: [&str; 7] = [
        "lifecycle",
        "operation",
        "metric",
        "class",
        "trigger",
        "target",
        "guest",
    ];

    fn batcher(rows_max: usize, bytes_max: usize) -> Batcher {
        let limits = BatcherLimits {
            batch_rows_max: rows_max,
            batch_bytes_max: bytes_max,
            event_buffer_rows_max: 1_000,
            ..BatcherLimits::default()
        };
        Batcher::new("test", Pace::Periodic, limits)
    }

    /// Appends by `append`; answers the batches that come of it.
    fn batches(batcher: &Batcher, append: impl FnOnce()) -> Vec<Batch> {
        batcher.begin_snapshot(1);
        batcher.keep_snapshot();
        append();
        batcher.end_snapshot()
    }

    fn value_of(field_type: FieldType) -> BoxedStrategy<Value> {
        let text = || "[a-zé]{0,9}".prop_map(Value::from);
        match field_type {
            FieldType::Utf8 => text().boxed(),
            FieldType::ListUtf8 => prop::collection::vec(text(), 0..4)
                .prop_map(Value::from)
                .boxed(),
            FieldType::Bool => any::<bool>().prop_map(Value::from).boxed(),
            FieldType::F64 => (0..100_u32)
                .prop_map(|tenths| json!(f64::from(tenths) / 10.0))
                .boxed(),
            FieldType::U16
            | FieldType::U32
            | FieldType::U64
            | FieldType::I32
            | FieldType::TimestampNs => (0..10_000_u32).prop_map(Value::from).boxed(),
        }
    }

    fn row_of(kind: Kind) -> impl Strategy<Value = Value> {
        let fields = kind.fields().iter();
        // The batcher's own stamps.
        let fields = fields.filter(|field| !["source", "sequence"].contains(&field.name));
        let values = fields.map(|field| {
            let value = match OF_TOPICS.contains(&field.name) {
                true => Just(json!("same")).boxed(),
                false => value_of(field.field_type),
            };
            let or_null = match field.nullable {
                true => prop_oneof![value, Just(Value::Null)].boxed(),
                false => value,
            };
            or_null
                .prop_map(|value| (field.name.to_owned(), value))
                .boxed()
        });
        let values: Vec<_> = values.collect();
        values.prop_map(|fields| Value::Object(Map::from_iter(fields)))
    }

    /// Rows that are appended: as they are, or as the row of that number with what is measured of these.
    type Step = (Option<usize>, Vec<Value>);

    fn steps() -> impl Strategy<Value = (Kind, Vec<Value>, Vec<Step>)> {
        prop::sample::select(Kind::ALL.to_vec()).prop_flat_map(|kind| {
            let rows = |most| prop::collection::vec(row_of(kind), 1..most);
            let step = (prop::option::of(0_usize..20), rows(6));
            (Just(kind), rows(20), prop::collection::vec(step, 1..6))
        })
    }

    fn measured_anew(kind: Kind, row: &Value, measured: &Value) -> Value {
        let mut row = row.clone();
        for field in fresh(kind) {
            row[field] = measured[field].clone();
        }
        row
    }

    fn check<R>(
        kind: Kind,
        first: &[Value],
        steps: &[Step],
        rows_max: usize,
    ) -> Result<(), TestCaseError>
    where
        R: MeasuredRow + DeserializeOwned + Serialize + Clone + Into<CollectionEvent>,
    {
        let rows_of = |values: &[Value]| -> Vec<R> {
            let rows = values.iter().cloned().map(serde_json::from_value);
            rows.collect::<Result<_, _>>().unwrap()
        };
        let before = batcher(rows_max, 1 << 20);
        let standing = batches(&before, || {
            before.append_all(&rows_of(first));
        });
        for batch in &standing {
            let rows = (0..batch.rows()).map(|row| batch.row(row).unwrap().bytes());
            prop_assert_eq!(R::bytes_of(batch, 0..batch.rows()), Some(rows.sum()));
            prop_assert_eq!(R::bytes_of(batch, 0..batch.rows() + 1), None);
        }
        let now = batcher(rows_max, 300);
        let mut expected: Vec<Value> = Vec::new();
        let told = batches(&now, || {
            for (at, values) in steps {
                let rows = rows_of(values);
                let Some(at) = at.filter(|at| *at < first.len()) else {
                    now.append_all(&rows);
                    expected.extend_from_slice(values);
                    continue;
                };
                let (batch, from) = (&standing[at / rows_max], at % rows_max);
                let count = rows.len().min(batch.rows() - from);
                now.append_again(&rows[..count], (batch, from));
                let merged = first[at..at + count].iter().zip(values);
                expected.extend(merged.map(|(row, measured)| measured_anew(kind, row, measured)));
            }
        });
        let rows = told
            .iter()
            .flat_map(|batch| (0..batch.rows()).filter_map(|row| batch.row(row)));
        let expected: Vec<CollectionEvent> =
            rows_of(&expected).into_iter().map(Into::into).collect();
        let rows: Vec<CollectionEvent> = rows.collect();
        prop_assert_eq!(&rows, &expected);
        let mut sequence = 0;
        for batch in &told {
            prop_assert_eq!(batch.header().first_sequence, sequence);
            prop_assert!(batch.rows() <= rows_max);
            sequence += batch.rows() as u64;
        }
        prop_assert_eq!(now.counts().produced, expected.len() as u64);
        Ok(())
    }

    proptest! {
        #[test]
        fn rows_appended_again_are_those_that_stand_but_for_what_is_measured(
            (kind, first, steps) in steps(),
            rows_max in 1_usize..8,
        ) {
            let check = match kind {
                Kind::Process => check::<ProcessEvent>,
                Kind::Network => check::<NetworkEvent>,
                Kind::Filesystem => check::<FilesystemEvent>,
                Kind::Performance => check::<PerformanceEvent>,
                Kind::Inventory => check::<InventoryEvent>,
                Kind::Trigger => check::<TriggerEvent>,
                Kind::Finding => check::<FindingEvent>,
            };
            check(kind, &first, &steps, rows_max)?;
        }
    }

    #[test]
    fn rows_that_stand_nowhere_or_find_no_room_are_counted() {
        let row = ProcessEvent::default();
        let before = batcher(100, 1 << 20);
        let standing = batches(&before, || {
            before.append_all(&vec![row.clone(); 100]);
        });
        let check = |rows: usize, from, dropped: &[(DropReason, u64)]| {
            let now = batcher(2_000, 1 << 20);
            now.append_all(&vec![row.clone(); 950]);
            let rows = vec![row.clone(); rows];
            now.append_again(&rows, (&standing[0], from));
            let counts = now.counts();
            let told: Vec<_> = counts.dropped.iter().collect();
            let told: Vec<_> = told.iter().map(|(why, count)| (*why, count.rows)).collect();
            assert_eq!(told, dropped);
            assert_eq!(counts.produced, 950 + rows.len() as u64);
            let lost: u64 = dropped.iter().map(|(_, rows)| rows).sum();
            assert_eq!(counts.in_batcher, counts.produced - lost);
        };
        check(50, 50, &[]);
        check(20, 81, &[(DropReason::Invalid, 20)]);
        check(1, usize::MAX, &[(DropReason::Invalid, 1)]);
        check(60, 40, &[(DropReason::Backpressure, 10)]);
        let now = batcher(10, 1 << 20);
        now.append_again(&[NetworkEvent::default()], (&standing[0], 0));
        assert_eq!(now.counts().dropped.total().rows, 1);
        now.close();
        assert_eq!(now.append_again(&[row], (&standing[0], 0)), Emit::Closed);
    }
}
