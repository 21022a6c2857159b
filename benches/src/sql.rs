//! What conditions in SQL cost a row, in the sandbox, natively and in SQLite.
//!
//! Ours is `Instance::evaluate` of the built-in guest `sql-trigger`, which is what a trigger's slot calls, with all
//! of a slot's limits. Every call gets a batch that no guest has seen: gathering its columns and copying them into
//! the guest is part of the figure, and so is lifting and checking what it answers. Firings have no message. A case
//! is the number of conditions that look at a batch at once; `1` is each of the ten alone in a slot of its own.
//!
//! All sides look at the same rows, and first show, row by row, that they come to the same verdicts; while they are
//! timed, that they found as many. What is counted is the CPU time of the one thread that calls.

mod conditions;
mod native;
mod rows;
mod sqlite;

use anyhow::{Context as _, ensure};
use rusqlite::{Connection, Statement};
use weir::sandbox::{Instance, Sandbox, World};
use weir_bus::event::ProcessColumns;
use weir_bus::{Batch, Kind, topic};

use crate::guests::{self, Workshop, answered};
use crate::measure::{CpuWatch, Effort, figure};
use crate::report::{Better, Case};
use conditions::{Condition, Dialect, MIX};

/// Rows of a batch: what the batcher closes one at.
const ROWS: u64 = 1_000;
/// Batches of different rows, used in turn.
const CONTENTS: u64 = 16;
/// Conditions times batches of one run.
const WORK: usize = 8_000;
/// The same of the peer that takes many times as long.
const WORK_SQLITE: usize = 1_600;
/// What share of all rows each condition matches: one that matches none or most shows little.
const MATCHED: std::ops::RangeInclusive<f64> = 0.002..=0.06;

const TRIGGER: &str = "builtin:sql-trigger";
const UNIT: &str = "ns/cond.row";

/// Conditions that look at a batch together: a slot's, and what the peers make of them.
struct Group {
    conditions: Vec<Condition>,
    instance: Instance,
    tests: Vec<native::Test>,
}

/// Measures the suite.
pub(crate) fn run(effort: Effort) -> anyhow::Result<Vec<Case>> {
    let counts = [1, MIX, MIX * MIX].map(|count| (count, count.to_string()));
    let mut cases = Vec::new();
    if !effort.wants_any(&counts.each_ref().map(|(_, name)| name)) {
        return Ok(cases);
    }
    let workshop = Workshop::open()?;
    let sandbox = workshop.sandbox()?;
    let contents = contents()?;
    let databases = contents.iter().map(sqlite::load);
    let databases: Vec<_> = databases
        .collect::<Result<_, _>>()
        .context("the peer sqlite")?;
    for (count, name) in counts {
        if effort.wants(&name) {
            let groups = groups(&sandbox, count)?;
            cases.extend(case(effort, &contents, &databases, groups, &name)?);
        }
    }
    Ok(cases)
}

fn contents() -> anyhow::Result<Vec<Batch>> {
    (0..CONTENTS)
        .map(|content| {
            let rows = rows::rows(content * ROWS, ROWS).into_iter();
            let rows: Vec<_> = rows.map(Into::into).collect();
            let topic = topic::of_event(Kind::Process, "observed");
            Ok(Batch::of_events(topic, "bench", content * ROWS, &rows)?)
        })
        .collect()
}

/// As many conditions together; fewer than the mix are all of the mix, in several groups.
fn groups(sandbox: &Sandbox, count: usize) -> anyhow::Result<Vec<Group>> {
    let conditions = conditions::conditions(count.max(MIX));
    let groups = conditions.chunks(count);
    groups.map(|group| self::group(sandbox, group)).collect()
}

fn group(sandbox: &Sandbox, conditions: &[Condition]) -> anyhow::Result<Group> {
    let triggers = conditions.iter().enumerate().map(|(number, condition)| {
        let condition = condition.sql(Dialect::Ours);
        let name = format!("condition-{number}");
        serde_json::json!({ "name": name, "kind": "process", "condition": condition })
    });
    let settings = serde_json::json!({ "conditions": triggers.collect::<Vec<_>>() });
    Ok(Group {
        conditions: conditions.to_vec(),
        instance: guests::instance(sandbox, World::Trigger, TRIGGER, &settings.to_string())?,
        tests: conditions
            .iter()
            .map(native::test)
            .collect::<Result<_, _>>()?,
    })
}

/// A group's statements over one content's table.
type Statements<'a> = Vec<Statement<'a>>;

fn case(
    effort: Effort,
    contents: &[Batch],
    databases: &[Connection],
    mut groups: Vec<Group>,
    name: &str,
) -> anyhow::Result<Vec<Case>> {
    let mut statements = Vec::new();
    for database in databases {
        let of_group = |group: &Group| {
            let conditions = group.conditions.iter();
            conditions
                .map(|condition| sqlite::prepare(database, condition))
                .collect()
        };
        let of_content = groups.iter().map(of_group);
        statements.push(of_content.collect::<anyhow::Result<Vec<Statements<'_>>>>()?);
    }
    let matched = proven(contents, &mut groups, &mut statements)?;

    let together = groups.first().map_or(1, |group| group.conditions.len());
    let turns = |work| Turns::of(effort.of(work / together), contents.len(), groups.len());
    let (all, fewer) = (turns(WORK), turns(WORK_SQLITE));
    let (mut ours, mut natives, mut sqlites) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..effort.pairs {
        ours.push(all.check(&matched, together, time_ours(&mut groups, contents, &all)?)?);
        natives.push(all.check(&matched, together, time_native(&groups, contents, &all)?)?);
        sqlites.push(fewer.check(&matched, together, time_sqlite(&mut statements, &fewer)?)?);
    }
    let case = |peer| Case::beside(name, UNIT, Better::Lower, &ours, peer);
    let (native, sqlite) = (case(("native", &natives)), case(("sqlite", &sqlites)));
    Ok(if together == MIX {
        vec![native.aimed("<= 15 ns"), sqlite.aimed("ratio <= 1/5")]
    } else {
        vec![native, sqlite]
    })
}

/// Which content and which group each call of a run is about.
struct Turns(Vec<(usize, usize)>);

impl Turns {
    fn of(calls: usize, contents: usize, groups: usize) -> Self {
        let turn = |call| (call / groups % contents, call % groups);
        Self((0..calls).map(turn).collect())
    }

    /// Nanoseconds for a condition and row, if as many rows were found as all sides had agreed on.
    fn check(
        &self,
        matched: &[Vec<usize>],
        conditions: usize,
        (nanoseconds, found): (f64, usize),
    ) -> anyhow::Result<f64> {
        let turns = self.0.iter();
        let expected: usize = turns
            .map(|(content, group)| matched[*content][*group])
            .sum();
        ensure!(
            found == expected,
            "{found} rows match while it is timed, and {expected} did before"
        );
        Ok(nanoseconds / (figure(self.0.len() as u64) * figure(conditions as u64) * figure(ROWS)))
    }
}

/// Fails unless all sides come to the same verdicts. How many rows match, by content and group.
fn proven(
    contents: &[Batch],
    groups: &mut [Group],
    statements: &mut [Vec<Statements<'_>>],
) -> anyhow::Result<Vec<Vec<usize>>> {
    let mut matched = vec![vec![0; groups.len()]; contents.len()];
    for (place, group) in groups.iter_mut().enumerate() {
        let mut of_condition = vec![0_u64; group.conditions.len()];
        for (content, batch) in contents.iter().enumerate() {
            let columns = ProcessColumns::of(batch).context("not a process batch")?;
            let fired = fired(group, batch)?;
            for (number, ours) in fired.iter().enumerate() {
                let condition = &group.conditions[number];
                let native = (group.tests[number])(&columns);
                same(condition, content, ours, "native", &native)?;
                let sqlite = sqlite::rows(&mut statements[content][place][number])?;
                same(condition, content, ours, "sqlite", &sqlite)?;
                matched[content][place] += ours.len();
                of_condition[number] += ours.len() as u64;
            }
        }
        let rows = figure(contents.len() as u64) * figure(ROWS);
        for (condition, found) in group.conditions.iter().zip(of_condition) {
            let share = figure(found) / rows;
            ensure!(
                MATCHED.contains(&share),
                "`{}` matches {found} of {rows} rows: that shows little",
                condition.sql(Dialect::Ours)
            );
        }
    }
    Ok(matched)
}

/// The rows for which each condition fires.
fn fired(group: &mut Group, batch: &Batch) -> anyhow::Result<Vec<Vec<u32>>> {
    let verdicts = answered(group.instance.evaluate(batch, Some(0)))?;
    if let Some(undecided) = verdicts.undecided.first() {
        anyhow::bail!("`{}` is undecided: {}", undecided.part, undecided.reason);
    }
    let mut rows = vec![Vec::new(); group.conditions.len()];
    for firing in verdicts.firings {
        let rule = usize::try_from(firing.rule)?;
        rows.get_mut(rule)
            .with_context(|| format!("no rule {rule}"))?
            .push(firing.row);
    }
    Ok(rows)
}

/// Fails with the first row of which the two say different things.
fn same(
    condition: &Condition,
    content: usize,
    ours: &[u32],
    name: &str,
    peer: &[u32],
) -> anyhow::Result<()> {
    let differs = |row: &u32| ours.contains(row) != peer.contains(row);
    let row = (0..u32::try_from(ROWS)?).find(differs);
    ensure!(
        row.is_none() && ours.len() == peer.len(),
        "`{}` of batch {content}, row {}: ours and {name} differ; {ours:?} and {peer:?} match",
        condition.sql(Dialect::Ours),
        row.unwrap_or_default(),
    );
    Ok(())
}

fn time_ours(
    groups: &mut [Group],
    contents: &[Batch],
    turns: &Turns,
) -> anyhow::Result<(f64, usize)> {
    let batches = turns.0.iter();
    let batches: Vec<_> = batches
        .map(|(content, group)| Ok((guests::unseen(&contents[*content])?, *group)))
        .collect::<anyhow::Result<_>>()?;
    let mut found = 0;
    let watch = CpuWatch::start();
    for (batch, group) in &batches {
        let verdicts = answered(groups[*group].instance.evaluate(batch, Some(0)))?;
        found += verdicts.firings.len();
    }
    Ok((watch.nanoseconds(), found))
}

fn time_native(
    groups: &[Group],
    contents: &[Batch],
    turns: &Turns,
) -> anyhow::Result<(f64, usize)> {
    let mut found = 0;
    let watch = CpuWatch::start();
    for (content, group) in &turns.0 {
        let columns = ProcessColumns::of(&contents[*content]).context("not a process batch")?;
        for test in &groups[*group].tests {
            found += std::hint::black_box(test(&columns)).len();
        }
    }
    Ok((watch.nanoseconds(), found))
}

fn time_sqlite(
    statements: &mut [Vec<Statements<'_>>],
    turns: &Turns,
) -> anyhow::Result<(f64, usize)> {
    let mut found = 0;
    let watch = CpuWatch::start();
    for (content, group) in &turns.0 {
        for statement in &mut statements[*content][*group] {
            found += sqlite::rows(statement)?.len();
        }
    }
    Ok((watch.nanoseconds(), found))
}
