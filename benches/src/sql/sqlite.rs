//! The peer `sqlite`: the rows in a table in memory, and for each condition a prepared `SELECT rowid … WHERE`.
//!
//! To its advantage: the table has only the columns that some condition reads, and filling it is not timed.
//! Arguments are one text, with a separator between them that stands in none.

use std::sync::Arc;

use anyhow::Context as _;
use regex::Regex;
use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, Statement, params};
use weir_bus::Batch;
use weir_bus::event::ProcessColumns;

use super::conditions::{Condition, Dialect};

/// LIKE minds case, as ours does.
const TABLE: &str = "
    PRAGMA case_sensitive_like = ON;
    CREATE TABLE t (
        pid INTEGER, parent_executable TEXT, name TEXT, executable TEXT,
        cpu_usage REAL, memory_bytes INTEGER, user_id INTEGER, cgroup TEXT
    );";
const INSERT: &str = "
    INSERT INTO t (
        rowid, pid, parent_executable, name, executable, cpu_usage, memory_bytes, user_id, cgroup
    ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// A database with the batch's rows.
pub(super) fn load(batch: &Batch) -> anyhow::Result<Connection> {
    let mut database = Connection::open_in_memory()?;
    database.execute_batch(TABLE)?;
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    database.create_scalar_function("regexp", 2, flags, |call| {
        // Compiled once for each run of a statement: SQLite keeps it beside the constant.
        let regex: Arc<Regex> = call.get_or_create_aux(0, |pattern| {
            let regex = Regex::new(pattern.as_str()?)?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(regex)
        })?;
        let text = call.get_raw(1).as_str_or_null()?;
        Ok(text.map(|text| regex.is_match(text)))
    })?;
    let columns = ProcessColumns::of(batch).context("not a process batch")?;
    let filling = database.transaction()?;
    {
        let mut insert = filling.prepare(INSERT)?;
        for (number, row) in (0..batch.rows()).filter_map(|row| Some((row, columns.row(row)?))) {
            insert.execute(params![
                i64::try_from(number)?,
                row.pid(),
                row.parent_executable(),
                row.name(),
                row.executable(),
                row.cpu_usage(),
                row.memory_bytes().map(i64::try_from).transpose()?,
                row.user_id(),
                row.cgroup(),
            ])?;
        }
    }
    filling.commit()?;
    Ok(database)
}

/// Prepares a condition.
pub(super) fn prepare<'a>(
    database: &'a Connection,
    condition: &Condition,
) -> anyhow::Result<Statement<'a>> {
    let condition = condition.sql(Dialect::Sqlite);
    Ok(database.prepare(&format!("SELECT rowid FROM t WHERE {condition}"))?)
}

/// The rows that match, ascending.
pub(super) fn rows(statement: &mut Statement<'_>) -> anyhow::Result<Vec<u32>> {
    let mut found = statement.query([])?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        rows.push(row.get(0)?);
    }
    Ok(rows)
}
