//! The guest's allocator, which the host calls for all that it hands in: it lies, loops, recurses, and
//! calls the host that has called it.

use weir::sandbox::FaultReason::{Deadline, Fuel, Stack, Trap};
use weir::sandbox::Limit;

use super::super::cases::Harm;
use super::Meets::{AtLoad, InCalls, Nothing};
use super::{CALL, DROP, IMPORTS, MEMORY, Meets, REALLOC, TextCase, case};

/// A batch's rows as the contract has them.
const ROWS: &str = r#"(export "batch" (type $own (sub resource)))
    (type $texts (list string))
    (type $value' (variant (case "null") (case "text" string) (case "unsigned" u64) (case "signed" s64)
      (case "float" float64) (case "boolean" bool) (case "texts" $texts)))
    (export "value" (type $value (eq $value')))
    (type $named (tuple string $value))
    (type $row' (list $named))
    (export "row" (type $row (eq $row')))
    (type $field-error' (variant
      (case "unknown-field" string) (case "not-asked-for" string) (case "out-of-range" u32)))
    (export "field-error" (type $field-error (eq $field-error')))
    (export "[method]batch.row" (func
      (param "self" (borrow $own)) (param "index" u32) (result (result $row (error $field-error)))))"#;

/// A guest that asks for its first row, and gives it room with that allocator.
fn asking(name: &'static str, realloc: &str, meets: Meets) -> TextCase {
    // The allocator lies in a module of its own: what the host lowers must have it before there is a guest.
    // `$late` is a function of the guest's that asks for the row once more.
    let libc = format!(
        r#"{DROP}
  (core module $libc
    (memory (export "memory") 2)
    (type $nothing (func))
    (table (export "late") 1 funcref)
    (global $next (mut i32) (i32.const 4096))
    (func $good (param i32 i32 i32 i32) (result i32) (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (i32.const 4096) (i32.and
        (i32.add (local.get $at) (local.get 3)) (i32.const 65535))))
      (local.get $at))
    (func $realloc (export "realloc") (param i32 i32 i32 i32) (result i32) {realloc}))
  (core instance $libc (instantiate $libc))
  (alias core export $libc "memory" (core memory $libc-memory))
  (alias core export $libc "realloc" (core func $libc-realloc))
  (core func $row (canon lower (func $batches "[method]batch.row")
    (memory $libc-memory) (realloc $libc-realloc)))"#
    );
    let memory = r#"(import "batches" "row" (func $row (param i32 i32 i32)))
    (import "libc" "memory" (memory 2))
    (import "libc" "late" (table $late 1 funcref))
    (export "memory" (memory 0))
    (elem (i32.const 0) $again)
    (func $again (call $row (i32.const 1) (i32.const 0) (i32.const 3000)))"#;
    let edits = [
        (r#"(export "batch" (type (sub resource)))"#, ROWS),
        // Before the other memory stands in the text, too.
        (MEMORY, memory),
        (DROP, libc.as_str()),
        (
            IMPORTS,
            r#"(core instance $imports (export "drop" (func $drop)) (export "row" (func $row)))"#,
        ),
        (
            r#"(with "batches" (instance $imports))"#,
            r#"(with "batches" (instance $imports)) (with "libc" (instance $libc))"#,
        ),
        (
            CALL,
            "(call $row (local.get $events) (i32.const 0) (i32.const 3000))",
        ),
    ];
    case(name, &edits, meets)
}

/// What the engine says of room that is none.
const PAST: &str = "realloc return: beyond end of memory";
const UNALIGNED: &str = "realloc return: result not aligned";
const LOOP: &str = "(loop $again (br $again)) unreachable";
const LITTLE_FUEL: &str = "fuel_call = 1_000_000\ncpu_call = \"10ms\"\nwall_factor = 1000";

pub(super) fn cases() -> Vec<TextCase> {
    let good = "(call $good (local.get 0) (local.get 1) (local.get 2) (local.get 3))";
    let recursion = "(call $realloc (local.get 0) (local.get 1) (local.get 2) (local.get 3))";
    let calls_out = format!("(call_indirect (type $nothing) (i32.const 0)) {good}");
    let takes_time = Harm::RunsInto(Deadline, "limits.cpu_call");
    let fuel = "used all its fuel";
    let at_init = REALLOC.replace("i32.const 1024", LOOP);
    let past_init = REALLOC.replace("i32.const 1024", "i32.const 0x7fffff00");
    vec![
        asking("realloc-good", good, Nothing),
        asking("realloc-loop", LOOP, InCalls(Fuel, fuel))
            .limits(LITTLE_FUEL)
            .without(&[Limit::Fuel], takes_time),
        asking("realloc-trap", "unreachable", InCalls(Trap, "unreachable"))
            .engine("Trap::UnreachableCodeReached"),
        asking(
            "realloc-recursion",
            recursion,
            InCalls(Stack, "stack of 512 KiB"),
        )
        .engine("Trap::StackOverflow"),
        asking(
            "realloc-past-the-end",
            "i32.const 0x7fffff00",
            InCalls(Trap, PAST),
        )
        .engine(PAST),
        asking(
            "realloc-unaligned",
            "i32.const 4097",
            InCalls(Trap, UNALIGNED),
        )
        .engine(UNALIGNED),
        // All that the host hands in lies in the same place: the guest's own loss.
        asking("realloc-same-place", "i32.const 4096", Nothing),
        asking(
            "realloc-calls-out",
            &calls_out,
            InCalls(Trap, "cannot leave component instance"),
        )
        .engine("cannot leave component instance"),
        case(
            "init-realloc-loop",
            &[(REALLOC, &at_init)],
            AtLoad("init", Fuel, fuel),
        )
        .limits(LITTLE_FUEL)
        .without(&[Limit::Fuel], takes_time),
        case(
            "init-realloc-past-the-end",
            &[(REALLOC, &past_init)],
            AtLoad("init", Trap, PAST),
        )
        .engine(PAST),
    ]
}
