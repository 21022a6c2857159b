//! What a row is about: the process and the file of it, and by what the same is known again.

use std::borrow::Cow;

use arrow_array::ArrayRef;
use weir_bus::batch::Batch;
use weir_bus::event::column::ColumnType;
use weir_bus::event::{FilesystemColumns, NetworkColumns, ProcessColumns};
use weir_bus::event::{PerformanceColumns, TriggerColumns};
use weir_bus::{FieldType, Kind, Timestamp};

/// The process and the file that a row is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) pid: Option<u32>,
    pub(crate) start_time: Option<Timestamp>,
    pub(crate) path: Option<String>,
}

impl Subject {
    /// The subject of a row.
    pub(crate) fn of(batch: &Batch, row: usize) -> Self {
        let of = |pid, start_time, path: Option<&str>| Self {
            pid,
            start_time,
            path: path.map(str::to_owned),
        };
        let subject = match batch.kind() {
            Kind::Process => ProcessColumns::of(batch).and_then(|all| {
                let row = all.row(row)?;
                Some(of(
                    Some(row.pid()),
                    Some(row.start_time()),
                    row.executable(),
                ))
            }),
            Kind::Network => NetworkColumns::of(batch).and_then(|all| {
                let row = all.row(row)?;
                Some(of(row.pid(), row.process_start_time(), None))
            }),
            Kind::Filesystem => FilesystemColumns::of(batch).and_then(|all| {
                let row = all.row(row)?;
                Some(of(row.pid(), row.process_start_time(), Some(row.path())))
            }),
            Kind::Performance => PerformanceColumns::of(batch).and_then(|all| {
                let row = all.row(row)?;
                Some(of(row.pid(), row.process_start_time(), None))
            }),
            Kind::Trigger => TriggerColumns::of(batch).and_then(|all| {
                let row = all.row(row)?;
                let start_time = row.target_start_time();
                Some(of(row.target_pid(), start_time, row.target_path()))
            }),
            Kind::Inventory | Kind::Finding => None,
        };
        subject.unwrap_or_default()
    }
}

/// By which columns the same is known again, where the trigger doesn't say: the first set of which not all are null.
pub(super) const fn same_by(kind: Kind) -> &'static [&'static [&'static str]] {
    match kind {
        Kind::Process => &[&["executable"], &["pid", "start_time"]],
        Kind::Network => &[
            &["pid", "process_start_time"],
            &[
                "protocol",
                "source_address",
                "destination_address",
                "destination_port",
            ],
        ],
        Kind::Filesystem => &[&["path"]],
        Kind::Performance => &[&["metric", "component", "pid", "process_start_time"]],
        Kind::Inventory => &[&["class", "item", "attribute"]],
        Kind::Trigger => &[&[
            "trigger",
            "rule",
            "target_path",
            "target_pid",
            "target_start_time",
        ]],
        Kind::Finding => &[&["guest", "title", "subject"]],
    }
}

/// A column's value in a row as a text; none: null, or there is no such column.
pub(super) fn value<'a>(batch: &'a Batch, column: &str, row: usize) -> Option<Cow<'a, str>> {
    let index = batch.kind().field_index(column)?;
    let field = batch.kind().fields().get(index)?;
    let array = batch.records().columns().get(index)?;
    if row >= batch.rows() {
        return None;
    }
    match field.field_type {
        FieldType::Utf8 => text(array, row).map(Cow::Borrowed),
        FieldType::U16 => shown::<Option<u16>>(array, row, |value| value.map(|v| v.to_string())),
        FieldType::U32 => shown::<Option<u32>>(array, row, |value| value.map(|v| v.to_string())),
        FieldType::U64 => shown::<Option<u64>>(array, row, |value| value.map(|v| v.to_string())),
        FieldType::I32 => shown::<Option<i32>>(array, row, |value| value.map(|v| v.to_string())),
        FieldType::F64 => shown::<Option<f64>>(array, row, |value| value.map(|v| v.to_string())),
        FieldType::Bool => shown::<Option<bool>>(array, row, |value| value.map(|v| v.to_string())),
        FieldType::TimestampNs => {
            shown::<Option<Timestamp>>(array, row, |value| value.map(|v| v.0.to_string()))
        }
        FieldType::ListUtf8 => shown::<Vec<String>>(array, row, |texts| {
            let texts: Vec<&str> = texts.iter().collect();
            Some(texts.join(" "))
        }),
    }
}

fn text(array: &ArrayRef, row: usize) -> Option<&str> {
    <Option<String>>::item(<Option<String>>::array(array)?, row)
}

fn shown<T: ColumnType>(
    array: &ArrayRef,
    row: usize,
    show: impl FnOnce(T::Item<'_>) -> Option<String>,
) -> Option<Cow<'static, str>> {
    let array = T::array(array)?;
    show(T::item(array, row)).map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_bus::CollectionEvent;
    use weir_bus::event::{FilesystemEvent, ProcessEvent};

    fn batch(event: impl Into<CollectionEvent>) -> Batch {
        let event = event.into();
        let topic = weir_bus::topic::of_event(event.kind(), "test");
        Batch::of_events(topic, "test", 0, &[event]).expect("a batch")
    }

    #[test]
    fn a_value_is_a_text_as_people_write_it() {
        let process = batch(ProcessEvent {
            pid: 7,
            name: "sh".to_owned(),
            cpu_usage: Some(1.5),
            command_line: vec!["sh".to_owned(), "-c".to_owned()],
            accessible: true,
            start_time: Timestamp(12),
            ..ProcessEvent::default()
        });
        let cases = [
            ("pid", Some("7")),
            ("name", Some("sh")),
            ("cpu_usage", Some("1.5")),
            ("command_line", Some("sh -c")),
            ("accessible", Some("true")),
            ("start_time", Some("12")),
            ("executable", None),
            ("colour", None),
        ];
        for (column, expected) in cases {
            assert_eq!(value(&process, column, 0).as_deref(), expected, "{column}");
            assert_eq!(value(&process, column, 1), None, "past the end");
        }
    }

    #[test]
    fn a_row_is_about_its_process_and_its_file() {
        let file = batch(FilesystemEvent {
            path: "/etc/passwd".to_owned(),
            pid: Some(7),
            ..FilesystemEvent::default()
        });
        let expected = Subject {
            pid: Some(7),
            start_time: None,
            path: Some("/etc/passwd".to_owned()),
        };
        assert_eq!(Subject::of(&file, 0), expected);
        assert_eq!(Subject::of(&file, 1), Subject::default());
    }

    #[test]
    fn every_kind_knows_the_same_again_by_columns_that_it_has() {
        for kind in Kind::ALL {
            for column in same_by(kind).iter().copied().flatten() {
                assert!(kind.field_index(column).is_some(), "{kind}: {column}");
            }
        }
    }
}
