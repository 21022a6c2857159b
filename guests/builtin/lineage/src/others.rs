//! Events that aren't about a process as such: what they say, and whose they are.
//!
//! Knows of each kind what a person reads first. Invariant: what isn't known isn't told.

use weir_guest::{Row, Value, Wants, host};

/// A kind, the columns that are told of it, and which of them say what it is about.
struct Kind {
    name: &'static str,
    columns: &'static [&'static str],
    subject: &'static [&'static str],
}

const KINDS: [Kind; 6] = [
    Kind {
        name: "network",
        columns: &[
            "protocol",
            "state",
            "source_address",
            "source_port",
            "destination_address",
            "destination_port",
        ],
        subject: &["destination_address", "destination_port"],
    },
    Kind {
        name: "filesystem",
        columns: &["operation", "path", "new_path", "size_bytes"],
        subject: &["path"],
    },
    Kind {
        name: "performance",
        columns: &["metric", "value", "unit", "component"],
        subject: &["metric", "component"],
    },
    Kind {
        name: "inventory",
        columns: &["class", "item", "attribute", "value"],
        subject: &["item", "attribute"],
    },
    Kind {
        name: "trigger",
        columns: &["trigger", "rule", "priority", "target", "target_path"],
        subject: &["rule"],
    },
    Kind {
        name: "finding",
        columns: &["guest", "severity", "title", "subject"],
        subject: &["subject"],
    },
];

/// The columns that say whose an event is: pid and start time, by kind.
const OWNERS: [(&str, [&str; 2]); 4] = [
    ("network", ["pid", "process_start_time"]),
    ("filesystem", ["pid", "process_start_time"]),
    ("performance", ["pid", "process_start_time"]),
    ("trigger", ["target_pid", "target_start_time"]),
];

/// Asks for the kinds, too.
pub(crate) fn and_wants(wants: Wants) -> Wants {
    KINDS.iter().fold(wants, |wants, kind| {
        let owner = owner_columns(kind.name).into_iter().flatten();
        let columns: Vec<&str> = kind.columns.iter().copied().chain(owner).collect();
        wants.and(kind.name, &columns)
    })
}

fn owner_columns(kind: &str) -> Option<[&'static str; 2]> {
    let found = OWNERS.iter().find(|(owned, _)| *owned == kind)?;
    Some(found.1)
}

/// What the event is about, in a word or two.
pub(crate) fn subject(kind: &str, row: &Row) -> String {
    let columns = KINDS.iter().find(|known| known.name == kind);
    let columns = columns.map_or(&[][..], |kind| kind.subject);
    let texts: Vec<String> = columns.iter().filter_map(|name| text(row, name)).collect();
    if texts.is_empty() {
        kind.to_owned()
    } else {
        texts.join(" ")
    }
}

/// What it says.
pub(crate) fn evidence(kind: &str, row: &Row) -> Vec<(String, String)> {
    let columns = KINDS.iter().find(|known| known.name == kind);
    let columns = columns.map_or(&[][..], |kind| kind.columns);
    let pairs = columns.iter();
    pairs
        .filter_map(|name| Some(((*name).to_owned(), text(row, name)?)))
        .collect()
}

/// Whose it is, where that is told whole.
pub(crate) fn owner(kind: &str, row: &Row) -> Option<(u32, i64)> {
    let [pid, start_time] = owner_columns(kind)?;
    let pid = u32::try_from(host::unsigned(row, pid)?).ok()?;
    Some((pid, host::signed(row, start_time)?))
}

fn text(row: &Row, name: &str) -> Option<String> {
    match host::field(row, name)? {
        Value::Null => None,
        Value::Text(text) => Some(text.clone()),
        Value::Unsigned(number) => Some(number.to_string()),
        Value::Signed(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(value) => Some(value.to_string()),
        Value::Texts(texts) => Some(texts.join(" ")),
    }
}
