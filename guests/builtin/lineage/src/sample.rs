//! Made-up processes, for the self-test and the tests.

use weir_guest::{Row, Value};

/// A process that started at its pid; so did its parent.
pub(crate) fn row(pid: u32, name: &str, ppid: Option<u32>) -> Row {
    let unsigned = |value: u32| Value::Unsigned(u64::from(value));
    let signed = |value: u32| Value::Signed(i64::from(value));
    let field = |name: &str, value| (name.to_owned(), value);
    vec![
        field("pid", unsigned(pid)),
        field("start_time", signed(pid)),
        field("ppid", ppid.map_or(Value::Null, unsigned)),
        field("parent_start_time", ppid.map_or(Value::Null, signed)),
        field("name", Value::Text(name.to_owned())),
    ]
}

/// A table with nobody but init.
pub(crate) fn init_only(pid: u32, _: i64) -> Option<Row> {
    (pid == 1).then(|| row(1, "init", Some(0)))
}
