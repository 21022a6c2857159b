//! What a component is made of: tables, memories, instances, data, and handles of its own.

use weir::sandbox::FaultReason::{Deadline, Fuel, Handles, Instances, Memory, Tables, Trap};
use weir::sandbox::Limit;

use super::super::cases::Harm;
use super::Meets::{AtLoad, InCalls};
use super::{CALL, COMPONENT, DROP, IMPORTS, MEMORY, MODULE, TextCase, case};

const INSTANTIATION: &str = "instantiation";
/// Traps where the table may not grow: otherwise it would live with it.
const GROW: &str = "(if (i32.eq (table.grow $t (ref.null func) (i32.const 20001)) (i32.const -1)) (then unreachable))";
/// Fuel within reach, and behind it, time: single instructions cost by what they move.
const LITTLE_FUEL: &str = "fuel_call = 1_000_000\ncpu_call = \"10ms\"\nwall_factor = 1000";

pub(super) fn cases() -> Vec<TextCase> {
    let mut cases = of_size();
    cases.extend(of_bulk());
    cases.push(handles());
    cases
}

fn of_size() -> Vec<TextCase> {
    let tables = "(table 1 funcref)".repeat(5);
    let instance = "(core instance (instantiate $m))";
    let instances = format!("(core module $m){}", instance.repeat(16));
    let memories = format!(
        "(core module $m (memory 1) (memory 1)){}",
        instance.repeat(9)
    );
    let memory = r#"(memory (export "memory") 129)"#;
    let elements = "limits.table_elements_max";
    vec![
        case(
            "tables-many",
            &[(MODULE, &tables)],
            AtLoad(INSTANTIATION, Tables, "limits.tables_max"),
        )
        .without(&[Limit::Tables], Harm::Answered),
        case(
            "table-large",
            &[(MODULE, "(table 20001 funcref)")],
            AtLoad(INSTANTIATION, Tables, elements),
        )
        .without(&[Limit::Tables], Harm::Answered),
        case(
            "table-grows",
            &[(MODULE, "(table $t 1 funcref)"), (CALL, GROW)],
            InCalls(Tables, elements),
        )
        .without(&[Limit::Tables], Harm::Answered),
        case(
            "memory-large",
            &[(MEMORY, memory)],
            AtLoad(INSTANTIATION, Memory, "limits.memory_bytes_max"),
        )
        .limits("memory_bytes_max = \"8MiB\"")
        .without(&[Limit::Memory], Harm::Answered),
        // Counted by wasmtime itself, by what the limiter says: nothing to switch off.
        case(
            "memories-many",
            &[(COMPONENT, &memories)],
            AtLoad(INSTANTIATION, Memory, "more memories than"),
        )
        .engine("ResourceLimiter::memories"),
        case(
            "instances-many",
            &[(COMPONENT, &instances)],
            AtLoad(INSTANTIATION, Instances, "limits.core_instances_max"),
        )
        .engine("ResourceLimiter::instances"),
    ]
}

/// Single instructions that take long, and data that doesn't fit.
fn of_bulk() -> Vec<TextCase> {
    let again = |instruction: &str| format!("(loop $again {instruction} (br $again))");
    let of = |name, module: &str, instruction: &str| {
        let edits = [(MODULE, module), (CALL, &again(instruction))];
        case(name, &edits, InCalls(Fuel, "used all its fuel"))
            .limits(LITTLE_FUEL)
            .without(&[Limit::Fuel], Harm::RunsInto(Deadline, "limits.cpu_call"))
    };
    let data = format!(r#"(data $bytes "{}")"#, "x".repeat(60_000));
    vec![
        of(
            "memory-fill",
            "",
            "(memory.fill (i32.const 4096) (i32.const 1) (i32.const 120000))",
        ),
        of(
            "memory-init",
            &data,
            "(memory.init $bytes (i32.const 4096) (i32.const 0) (i32.const 60000))",
        ),
        of(
            "table-fill",
            "(table $t 20000 funcref)",
            "(table.fill $t (i32.const 0) (ref.null func) (i32.const 20000))",
        ),
        case(
            "data-out-of-bounds",
            &[(MODULE, r#"(data (i32.const 131070) "xxxx")"#)],
            AtLoad(INSTANTIATION, Trap, "out of bounds"),
        )
        .engine("Trap::MemoryOutOfBounds"),
    ]
}

/// Handles of a type of the guest's own lie in a table of the host's, and no host call makes them.
fn handles() -> TextCase {
    let new = format!(
        "{DROP}\n(type $thing (resource (rep i32)))\n(core func $new (canon resource.new $thing))"
    );
    let import =
        format!(r#"(import "batches" "new" (func $new (param i32) (result i32))){MEMORY}"#);
    let imports =
        r#"(core instance $imports (export "drop" (func $drop)) (export "new" (func $new)))"#;
    let many = "(local $turn i32)
      (loop $again
        (drop (call $new (local.get $turn)))
        (local.set $turn (i32.add (local.get $turn) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $turn) (i32.const 1000))))";
    let edits = [
        (DROP, new.as_str()),
        (MEMORY, &import),
        (IMPORTS, imports),
        (CALL, many),
    ];
    case("handles-of-its-own", &edits, InCalls(Handles, "64 handles"))
        .limits("handles_max = 64")
        .without(&[Limit::Handles], Harm::Answered)
}
