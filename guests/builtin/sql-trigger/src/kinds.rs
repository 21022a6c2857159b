//! The kinds of events and their columns, as conditions name them.
//!
//! A guest imports nothing of the daemon, so this is its own copy; a test holds it to the bus's
//! declarations.

use crate::errors::{Checked, Problem, suggestion};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ColumnType {
    U16,
    U32,
    U64,
    I32,
    F64,
    Bool,
    /// Nanoseconds since the epoch.
    Time,
    Text,
    /// A list of texts.
    Texts,
}

/// A column's place among those of its kind.
pub(crate) type Column = usize;

/// A kind of events.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [(&'static str, ColumnType)],
}

/// Where `timestamp` stands, in every kind.
pub(crate) const TIMESTAMP: Column = 0;

macro_rules! kinds {
    ($($kind:ident { $($column:ident: $type:ident),+ $(,)? })+) => {
        /// All kinds.
        pub(crate) static KINDS: &[Kind] = &[$(Kind {
            name: stringify!($kind),
            columns: &[
                ("timestamp", ColumnType::Time),
                ("source", ColumnType::Text),
                ("sequence", ColumnType::U64),
                $((stringify!($column), ColumnType::$type)),+
            ],
        }),+];
    };
}

kinds! {
    process {
        pid: U32,
        start_time: Time,
        ppid: U32,
        parent_start_time: Time,
        parent_name: Text,
        parent_executable: Text,
        name: Text,
        executable: Text,
        executable_deleted: Bool,
        command_line: Texts,
        cpu_usage: F64,
        memory_bytes: U64,
        user_id: U32,
        cgroup: Text,
        container_id: Text,
        executable_hash: Text,
        hash_algorithm: Text,
        hash_baseline: Text,
        accessible: Bool,
        file_exists: Bool,
        lifecycle: Text,
        exit_code: I32,
        lifetime_ns: U64,
        state: Text,
        lossy_text: Bool,
    }
    network {
        connection_id: Text,
        protocol: Text,
        source_address: Text,
        source_port: U16,
        destination_address: Text,
        destination_port: U16,
        state: Text,
        lifecycle: Text,
        pid: U32,
        process_start_time: Time,
        bytes_sent: U64,
        bytes_received: U64,
        user_id: U32,
        namespace: U64,
    }
    filesystem {
        path: Text,
        operation: Text,
        new_path: Text,
        pid: U32,
        process_start_time: Time,
        size_bytes: U64,
        permissions: U32,
        hash: Text,
    }
    performance {
        metric: Text,
        value: F64,
        unit: Text,
        component: Text,
        pid: U32,
        process_start_time: Time,
    }
    inventory {
        class: Text,
        item: Text,
        attribute: Text,
        value: Text,
    }
    trigger {
        request_id: Text,
        trigger: Text,
        rule: Text,
        target: Text,
        analysis: Text,
        priority: Text,
        target_pid: U32,
        target_start_time: Time,
        target_path: Text,
        metadata: Texts,
        correlation_id: Text,
        parent_id: Text,
        root_id: Text,
        depth: U32,
    }
    finding {
        finding_id: Text,
        guest: Text,
        generation: U64,
        severity: Text,
        title: Text,
        subject: Text,
        evidence: Texts,
        correlation_id: Text,
        parent_id: Text,
        root_id: Text,
        depth: U32,
    }
}

impl Kind {
    /// The kind of that name.
    pub(crate) fn named(name: &str) -> Checked<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name).ok_or_else(|| {
            let names = KINDS.iter().map(|kind| kind.name);
            let meant = suggestion(name, names);
            Problem::whole(format!("no kind `{name}`{meant}"))
        })
    }

    /// The column of that name, in whatever case.
    pub(crate) fn column(&self, name: &str) -> Option<Column> {
        self.columns
            .iter()
            .position(|(column, _)| column.eq_ignore_ascii_case(name))
    }

    /// What to say of a name that is no column's.
    pub(crate) fn no_column(&self, name: &str) -> String {
        let meant = suggestion(name, self.columns.iter().map(|(column, _)| *column));
        format!("no column `{name}` in {} events{meant}", self.name)
    }

    /// A column's name; empty where there is none.
    pub(crate) fn name_of(&self, column: Column) -> &'static str {
        self.columns.get(column).map_or("", |(name, _)| name)
    }

    /// A column's type.
    pub(crate) fn type_of(&self, column: Column) -> ColumnType {
        self.columns
            .get(column)
            .map_or(ColumnType::Text, |(_, column_type)| *column_type)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECLARED: [(&str, &str); 7] = [
        (
            "process",
            include_str!("../../../../bus/src/event/process.rs"),
        ),
        (
            "network",
            include_str!("../../../../bus/src/event/network.rs"),
        ),
        (
            "filesystem",
            include_str!("../../../../bus/src/event/filesystem.rs"),
        ),
        (
            "performance",
            include_str!("../../../../bus/src/event/performance.rs"),
        ),
        (
            "inventory",
            include_str!("../../../../bus/src/event/inventory.rs"),
        ),
        (
            "trigger",
            include_str!("../../../../bus/src/event/trigger.rs"),
        ),
        (
            "finding",
            include_str!("../../../../bus/src/event/finding.rs"),
        ),
    ];

    fn of_declared(name: &str) -> ColumnType {
        let inner = name
            .strip_prefix("Option<")
            .map_or(name, |name| name.trim_end_matches('>'));
        match inner {
            "u16" => ColumnType::U16,
            "u32" => ColumnType::U32,
            "u64" => ColumnType::U64,
            "i32" => ColumnType::I32,
            "f64" => ColumnType::F64,
            "bool" => ColumnType::Bool,
            "Timestamp" => ColumnType::Time,
            "String" => ColumnType::Text,
            "Vec<String>" => ColumnType::Texts,
            other => panic!("a type that no column has: {other}"),
        }
    }

    #[test]
    fn the_columns_are_those_that_the_bus_declares() {
        assert_eq!(KINDS.len(), DECLARED.len());
        for (name, source) in DECLARED {
            let kind = Kind::named(name).unwrap();
            let fields = source.lines().filter_map(|line| {
                let line = line.strip_prefix("        ")?;
                // What is measured is a column like any other.
                let line = line.strip_prefix("[measured] ").unwrap_or(line);
                let (field, declared) = line.split_once(": ")?;
                let is_name = field.chars().all(|c| c.is_ascii_lowercase() || c == '_');
                is_name.then(|| (field, of_declared(declared.trim_end_matches(','))))
            });
            let stamps = [
                ("timestamp", ColumnType::Time),
                ("source", ColumnType::Text),
                ("sequence", ColumnType::U64),
            ];
            let expected: Vec<_> = stamps.into_iter().chain(fields).collect();
            assert_eq!(kind.columns, expected, "{name}");
            assert_eq!(kind.name_of(TIMESTAMP), "timestamp");
        }
    }
}
