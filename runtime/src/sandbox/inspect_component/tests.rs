//! Small components as text, and what each is found to be.

use super::super::module::ModuleFolders;
use super::*;

const FILTER: &str = "weir:collector/filter@0.1.0";
const TRIGGER: &str = "weir:collector/trigger@0.1.0";
const STAGE: &str = "weir:collector/stage@0.1.0";
const LIFECYCLE: &str = "weir:collector/lifecycle@0.1.0";

/// A component with these names at its border, all of them empty instances; a core module and a
/// nested component with names of its own lie between.
fn component(imports: &[&str], exports: &[&str]) -> Vec<u8> {
    let mut text = String::from("(component\n");
    for import in imports {
        text.push_str(&format!("  (import \"{import}\" (instance))\n"));
    }
    text.push_str("  (core module (func (export \"f\")))\n");
    text.push_str("  (component (import \"wasi:sockets/tcp@0.2.0\" (instance)))\n");
    text.push_str("  (instance $empty)\n");
    for export in exports {
        text.push_str(&format!("  (export \"{export}\" (instance $empty))\n"));
    }
    text.push(')');
    wat::parse_str(&text).expect("the test's component is well formed")
}

fn check(imports: &[&str], exports: &[&str], expected: Result<(World, bool), &str>) {
    let found = inspect(&component(imports, exports));
    match (found, expected) {
        (Ok(shape), Ok(expected)) => {
            assert_eq!(
                (shape.world, shape.besides.snapshots),
                expected,
                "{exports:?}"
            );
            assert_eq!(shape.interfaces.imports, imports);
            assert_eq!(shape.interfaces.exports, exports);
        }
        (Err(error), Err(expected)) => assert_eq!(error.to_string(), expected),
        (found, expected) => panic!("{imports:?} {exports:?}: {found:?}, not {expected:?}"),
    }
}

#[test]
fn a_guest_is_the_world_whose_interface_it_exports() {
    let log = "weir:collector/log@0.1.0";
    let batches = "weir:collector/batches@0.1.3";
    let state = "weir:collector/state@0.1.0";
    let metrics = "weir:collector/metrics@0.1.0";
    let inspect = "weir:collector/inspect@0.1.0";
    let io = "wasi:io/poll@0.2.6";
    let cli = "wasi:cli/environment@0.2.0";
    for (imports, exports, world) in [
        (
            &[log, batches, io, cli][..],
            [LIFECYCLE, FILTER],
            World::Filter,
        ),
        (&[batches, state], [TRIGGER, LIFECYCLE], World::Trigger),
        (
            &[log, state, metrics, inspect],
            [LIFECYCLE, STAGE],
            World::Stage,
        ),
        (&[], [LIFECYCLE, STAGE], World::Stage),
    ] {
        check(imports, &exports, Ok((world, false)));
    }
    let exports = [LIFECYCLE, FILTER, "weir:collector/snapshots@0.1.0"];
    check(&[], &exports, Ok((World::Filter, true)));
}

#[test]
fn what_a_toolchain_exports_besides_is_tolerated() {
    let exports = ["wasi:cli/run@0.2.0", LIFECYCLE, FILTER, "cabi-thing"];
    check(&[], &exports, Ok((World::Filter, false)));
}

#[test]
fn a_component_of_no_world_or_of_two_is_refused_with_what_it_exports() {
    check(
        &["wasi:sockets/tcp@0.2.0"],
        &["wasi:cli/run@0.2.0"],
        Err(
            "the component exports none of weir:collector/filter, weir:collector/trigger and weir:collector/stage (version 0.1), but wasi:cli/run@0.2.0; implement one of the worlds of weir:collector",
        ),
    );
    check(
        &[],
        &[LIFECYCLE],
        Err(
            "the component exports none of weir:collector/filter, weir:collector/trigger and weir:collector/stage (version 0.1), but weir:collector/lifecycle@0.1.0; implement one of the worlds of weir:collector",
        ),
    );
    check(
        &[],
        &[FILTER, LIFECYCLE, STAGE],
        Err(
            "the component exports both weir:collector/filter and weir:collector/stage, and a guest is exactly one of filter, trigger and stage: make two components of it",
        ),
    );
    check(
        &[],
        &[FILTER],
        Err(
            "the component exports weir:collector/filter but not weir:collector/lifecycle, which every guest exports",
        ),
    );
    check(
        &[],
        &[LIFECYCLE, "weir:collector/filters@0.1.0"],
        Err(
            "the component exports weir:collector/filters@0.1.0, which is no interface of the contract: those are weir:collector/filter, trigger, stage, lifecycle, snapshots and explain",
        ),
    );
}

#[test]
fn an_import_that_no_guest_gets_is_refused_by_name() {
    for (import, remedy) in [
        (
            "wasi:sockets/tcp@0.2.0",
            "guests reach no network; docs/guests.md has the build flags that keep a toolchain from importing it",
        ),
        (
            "wasi:http/outgoing-handler@0.2.0",
            "guests reach no network; docs/guests.md has the build flags that keep a toolchain from importing it",
        ),
        (
            "wasi:nn/graph@0.2.0",
            "of wasi there are cli, clocks, filesystem, io and random in version 0.2",
        ),
        (
            "acme:things/thing@1.0.0",
            "guests import interfaces of weir:collector and wasi only; compose the component with what it needs",
        ),
        (
            "env",
            "guests import interfaces of weir:collector and wasi, and no bare functions or instances",
        ),
        (
            "weir:collector/secrets@0.1.0",
            "of weir:collector there are log, batches, state, metrics and inspect to import",
        ),
    ] {
        let expected = format!("the component imports {import}, which no guest gets: {remedy}");
        check(&[import], &[LIFECYCLE, STAGE], Err(&expected));
    }
}

#[test]
fn an_import_beyond_its_world_is_refused_by_name() {
    for (import, exports, expected) in [
        (
            "weir:collector/state@0.1.0",
            FILTER,
            "a filter may not: it gets log, batches of weir:collector",
        ),
        (
            "weir:collector/inspect@0.1.0",
            TRIGGER,
            "a trigger may not: it gets log, batches, state of weir:collector",
        ),
    ] {
        let expected = format!("the component imports {import}, which {expected}");
        check(&[import], &[LIFECYCLE, exports], Err(&expected));
    }
}

#[test]
fn another_version_of_the_contract_or_of_wasi_is_named() {
    for (import, offered) in [
        ("weir:collector/log@0.2.0", "0.1.x"),
        ("weir:collector/log@1.1.0", "0.1.x"),
        ("weir:collector/log@0.1.0-rc1", "0.1.x"),
        ("weir:collector/log", "0.1.x"),
        ("wasi:io/poll@0.3.0", "0.2.x"),
        ("wasi:io/poll", "0.2.x"),
    ] {
        let expected = format!(
            "the component imports {import}, and this host has version {offered}: build the guest against that"
        );
        check(&[import], &[LIFECYCLE, FILTER], Err(&expected));
    }
    check(
        &[],
        &["weir:collector/filter@0.2.0", LIFECYCLE],
        Err(
            "the component exports weir:collector/filter@0.2.0, and this host has version 0.1.x: build the guest against that",
        ),
    );
}

#[test]
fn a_broken_component_never_panics_and_its_error_is_one_line() {
    let whole = component(&["weir:collector/log@0.1.0"], &[LIFECYCLE, FILTER]);
    assert!(inspect(&whole).is_ok());
    for end in 0..whole.len() {
        // Cut between two sections it is a smaller component; anywhere else it is malformed.
        if let Err(error) = inspect(&whole[..end]) {
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
    assert!(inspect(&whole[..whole.len() / 2]).is_err());
    for place in 8..whole.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[place] ^= flip;
            if let Err(error) = inspect(&bytes) {
                assert!(!error.to_string().contains('\n'), "{error}");
            }
        }
    }
}

#[test]
fn a_hostile_name_stays_on_its_line() {
    let imports = vec![format!("a\u{1b}[2J\n{}", "x".repeat(100_000))];
    let names = Interfaces {
        imports,
        exports: vec![LIFECYCLE.to_owned(), FILTER.to_owned()],
    };
    let text = names.shape().expect_err("no such import").to_string();
    assert!(
        text.starts_with("the component imports a\\u{1b}[2J\\nxxx"),
        "{text}"
    );
    assert!(text.len() < 400 && !text.contains('\n'), "{text}");
}

#[test]
fn the_built_in_guests_are_a_filter_a_trigger_and_a_stage() {
    for (name, world) in [
        ("rest", World::Filter),
        ("sql-trigger", World::Trigger),
        ("lineage", World::Stage),
    ] {
        let module = ModuleFolders::read_builtin(name, 32 << 20).expect("a built-in module");
        let shape = inspect(&module.bytes).expect("a guest");
        assert_eq!(shape.world, world, "{name}");
    }
}
