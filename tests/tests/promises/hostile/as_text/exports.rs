//! Time, stack and traps in every function that the host calls: at instantiation, in `describe`, `init` and
//! `self-test`, and after the answer.

use weir::sandbox::FaultReason::{Deadline, Fuel, Stack, Trap};
use weir::sandbox::Limit;

use super::super::cases::Harm;
use super::Meets::{AtLoad, InCalls};
use super::{DESCRIBE, INIT, KEEP_LIFT, MODULE, SELF_TEST, TextCase, case};

/// A loop without an end.
const LOOP: &str = "(loop $again (br $again))";
/// Fuel within reach, and behind it, time.
const LITTLE_FUEL: &str = "fuel_call = 1_000_000\ncpu_call = \"10ms\"\nwall_factor = 1000";
/// What the engine says where the stack is at its end.
const DEEP: &str = "stack of 512 KiB";

pub(super) fn cases() -> Vec<TextCase> {
    let mut cases = at_the_start();
    cases.extend(in_lifecycle());
    cases.extend(after_the_answer());
    cases
}

/// A core module's start function runs when it is instantiated.
fn at_the_start() -> Vec<TextCase> {
    let start = |body: &str| format!("(func $start {body}) (start $start)");
    let of = |name, body: &str, reason, says| {
        let meets = AtLoad("instantiation", reason, says);
        case(name, &[(MODULE, &start(body))], meets)
    };
    let fill = "(loop $again
        (memory.fill (i32.const 2048) (i32.const 0) (i32.const 120000)) (br $again))";
    vec![
        of("start-loop", LOOP, Fuel, "used all its fuel")
            .limits(LITTLE_FUEL)
            .without(&[Limit::Fuel], Harm::RunsInto(Deadline, "limits.cpu_call")),
        of("start-fill", fill, Fuel, "used all its fuel")
            .limits(LITTLE_FUEL)
            .without(&[Limit::Fuel], Harm::RunsInto(Deadline, "limits.cpu_call")),
        of("start-trap", "unreachable", Trap, "unreachable").engine("Trap::UnreachableCodeReached"),
        of("start-recursion", "(call $start)", Stack, DEEP).engine("Trap::StackOverflow"),
    ]
}

fn in_lifecycle() -> Vec<TextCase> {
    let of = |name, line: &'static str, during, by: &str, reason, says| {
        let by = line.replacen("i32.const", &format!("{by} i32.const"), 1);
        case(name, &[(line, &by)], AtLoad(during, reason, says))
    };
    let fuel = "used all its fuel";
    let takes_time = Harm::RunsInto(Deadline, "limits.cpu_call");
    let looping = |name, line, during| {
        of(name, line, during, LOOP, Fuel, fuel)
            .limits(LITTLE_FUEL)
            .without(&[Limit::Fuel], takes_time)
    };
    vec![
        looping("describe-loop", DESCRIBE, "describe"),
        looping("init-loop", INIT, "init"),
        looping("self-test-loop", SELF_TEST, "self-test"),
        of(
            "describe-trap",
            DESCRIBE,
            "describe",
            "unreachable",
            Trap,
            "unreachable",
        )
        .engine("Trap::UnreachableCodeReached"),
    ]
}

/// Post-return runs when the answer has been taken.
fn after_the_answer() -> Vec<TextCase> {
    let lift = KEEP_LIFT.replace(
        "(memory $memory)",
        r#"(memory $memory) (post-return (func $guest "after"))"#,
    );
    let of = |name, body: &str, reason, says| {
        let after = format!(r#"(func $after (export "after") (param i32) {body})"#);
        let edits = [(MODULE, after.as_str()), (KEEP_LIFT, &lift)];
        case(name, &edits, InCalls(reason, says))
    };
    vec![
        of("post-return-loop", LOOP, Fuel, "used all its fuel")
            .limits(LITTLE_FUEL)
            .without(&[Limit::Fuel], Harm::RunsInto(Deadline, "limits.cpu_call")),
        of("post-return-trap", "unreachable", Trap, "unreachable")
            .engine("Trap::UnreachableCodeReached"),
        of(
            "post-return-recursion",
            "(call $after (local.get 0))",
            Stack,
            DEEP,
        )
        .engine("Trap::StackOverflow"),
        of(
            "post-return-calls-out",
            "(call $drop (i32.const 1))",
            Trap,
            "cannot leave component instance",
        )
        .engine("cannot leave component instance"),
    ]
}
