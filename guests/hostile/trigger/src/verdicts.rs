//! Verdicts, good ones and others.

use weir_guest::{Batch, EvalError, Firing, Undecided, Verdicts};

/// The only rule.
const RULE: u32 = 0;

/// No row fires.
pub(crate) fn nothing() -> Verdicts {
    Verdicts {
        firings: Vec::new(),
        undecided: Vec::new(),
    }
}

/// One row fires.
pub(crate) fn fires(row: u32, rule: u32, message: Option<String>) -> Verdicts {
    Verdicts {
        firings: vec![Firing { row, rule, message }],
        undecided: Vec::new(),
    }
}

fn rows(batch: &Batch<'_>) -> u32 {
    u32::try_from(batch.rows()).unwrap_or(u32::MAX)
}

fn text(bytes: u64) -> String {
    "x".repeat(usize::try_from(bytes).unwrap_or(usize::MAX))
}

fn undecided(row: u32, rule: u32) -> Undecided {
    Undecided {
        row,
        rule,
        part: "name".to_owned(),
        reason: "it can't be known".to_owned(),
    }
}

/// A good one: every row fires.
pub(crate) fn fire_all(batch: &Batch<'_>, _: u64) -> Result<Verdicts, EvalError> {
    let firing = |row| Firing {
        row,
        rule: RULE,
        message: None,
    };
    Ok(Verdicts {
        firings: (0..rows(batch)).map(firing).collect(),
        undecided: Vec::new(),
    })
}

/// A good one that can't decide any row.
pub(crate) fn undecided_all(batch: &Batch<'_>, _: u64) -> Result<Verdicts, EvalError> {
    let undecided = (0..rows(batch)).map(|row| undecided(row, RULE)).collect();
    Ok(Verdicts {
        firings: Vec::new(),
        undecided,
    })
}

/// The row after the last one.
pub(crate) fn row_out_of_range(batch: &Batch<'_>, _: u64) -> Result<Verdicts, EvalError> {
    Ok(fires(rows(batch), RULE, None))
}

/// The rule after the last one.
pub(crate) fn rule_out_of_range(_: &Batch<'_>, _: u64) -> Result<Verdicts, EvalError> {
    Ok(fires(0, RULE + 1, None))
}

/// The rule after the last one can't decide.
pub(crate) fn undecided_rule_out_of_range(_: &Batch<'_>, _: u64) -> Result<Verdicts, EvalError> {
    Ok(Verdicts {
        firings: Vec::new(),
        undecided: vec![undecided(0, RULE + 1)],
    })
}

/// The first row, `amount` times.
pub(crate) fn too_many(_: &Batch<'_>, amount: u64) -> Result<Verdicts, EvalError> {
    let firings = (0..amount)
        .map(|_| Firing {
            row: 0,
            rule: RULE,
            message: None,
        })
        .collect();
    Ok(Verdicts {
        firings,
        undecided: Vec::new(),
    })
}

/// The first row is undecided, `amount` times.
pub(crate) fn undecided_too_many(_: &Batch<'_>, amount: u64) -> Result<Verdicts, EvalError> {
    let undecided = (0..amount).map(|_| undecided(0, RULE)).collect();
    Ok(Verdicts {
        firings: Vec::new(),
        undecided,
    })
}

/// A message of `amount` bytes.
pub(crate) fn huge_message(_: &Batch<'_>, amount: u64) -> Result<Verdicts, EvalError> {
    Ok(fires(0, RULE, Some(text(amount))))
}

/// The first row is undecided for a reason of `amount` bytes.
pub(crate) fn undecided_huge(_: &Batch<'_>, amount: u64) -> Result<Verdicts, EvalError> {
    let undecided = Undecided {
        reason: text(amount),
        ..undecided(0, RULE)
    };
    Ok(Verdicts {
        firings: Vec::new(),
        undecided: vec![undecided],
    })
}
