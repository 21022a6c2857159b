//! Writes to the store: too much of it, or what must not be kept.

use crate::verdicts::{fires, nothing};
use weir_guest::host::{self, state};
use weir_guest::{Batch, EvalError, Verdicts};

/// Where it counts.
const COUNT_KEY: &str = "count";
/// Where it signs.
const SIGNATURE_KEY: &str = "signed-by";
/// The size of one value, below what a value may be.
const VALUE_BYTES: usize = 32 << 10;

/// Adds one to the count that is stored, and gives the new one.
fn add_one() -> u64 {
    let stored = state::get(COUNT_KEY).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
    let count = stored.map_or(0, u64::from_le_bytes) + 1;
    if let Err(reason) = state::set(COUNT_KEY, &count.to_le_bytes()) {
        host::warn(reason);
    }
    count
}

/// A good one: counts its calls in the store, and its first row fires with the count.
pub(crate) fn count(_: &Batch<'_>, _: u64) -> Result<Verdicts, EvalError> {
    Ok(fires(0, 0, Some(add_one().to_string())))
}

/// A good one: signs the store with its `amount`, and its first row fires with who has signed it before and with its
/// own.
pub(crate) fn sign(_: &Batch<'_>, amount: u64) -> Result<Verdicts, EvalError> {
    let before = state::get(SIGNATURE_KEY).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
    let before = before.map_or(0, u64::from_le_bytes);
    if let Err(reason) = state::set(SIGNATURE_KEY, &amount.to_le_bytes()) {
        host::warn(reason);
    }
    Ok(fires(0, 0, Some(format!("{before} {amount}"))))
}

/// Counts, and traps: the count must stay.
pub(crate) fn count_then_trap(_: &Batch<'_>, _: u64) -> Result<Verdicts, EvalError> {
    host::info(format_args!("count {}", add_one()));
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_arch = "wasm32"))]
    Ok(nothing())
}

/// Counts, and rejects: the count must stay.
pub(crate) fn count_then_reject(_: &Batch<'_>, _: u64) -> Result<Verdicts, EvalError> {
    host::info(format_args!("count {}", add_one()));
    Err(EvalError::Reject("not these".to_owned()))
}

/// Writes until it is refused, `amount` times at most; its first row fires with what it was told.
fn until_refused(amount: u64, write: impl Fn(u64) -> Result<(), String>) -> Verdicts {
    match (0..amount).find_map(|turn| write(turn).err()) {
        Some(reason) => fires(0, 0, Some(reason)),
        None => nothing(),
    }
}

/// `amount` values of 32 KiB: past the store's bytes.
pub(crate) fn bytes(_: &Batch<'_>, amount: u64) -> Result<Verdicts, EvalError> {
    Ok(until_refused(amount, |turn| {
        state::set(&format!("b{turn}"), &[1; VALUE_BYTES])
    }))
}

/// `amount` empty values: past the store's keys.
pub(crate) fn keys(_: &Batch<'_>, amount: u64) -> Result<Verdicts, EvalError> {
    Ok(until_refused(amount, |turn| {
        state::set(&format!("k{turn}"), &[])
    }))
}

/// One value of `amount` bytes.
pub(crate) fn value(_: &Batch<'_>, amount: u64) -> Result<Verdicts, EvalError> {
    let bytes = vec![1; usize::try_from(amount).unwrap_or(usize::MAX)];
    Ok(until_refused(1, |_| state::set("v", &bytes)))
}

/// Fills the store with empty values, and then writes one of them again and again: each write looks
/// through all of them.
pub(crate) fn churn(_: &Batch<'_>, amount: u64) -> Result<Verdicts, EvalError> {
    for turn in 0..amount {
        // What is refused is refused.
        let _ = state::set(&format!("k{}", turn % 4_096), &[]);
    }
    Ok(nothing())
}

/// Looks for what another slot may have stored; what it sees goes to the log.
pub(crate) fn peek(_: &Batch<'_>, _: u64) -> Result<Verdicts, EvalError> {
    let (keys, count) = (state::keys("").len(), state::get(COUNT_KEY).is_some());
    host::info(format_args!("keys {keys} count {count}"));
    Ok(nothing())
}
