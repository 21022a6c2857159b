//! Guests as text: what no compiled language does to its host. A case is a good guest of which some lines
//! are others.

mod answers;
mod exports;
mod reallocs;
mod shapes;

use weir::config::{LoadRequest, TrustSettings};
use weir::sandbox::{FaultReason, Limit, World};
use weir::slot::SlotStatistics;
use weir_tests::rig::{Finished, Setup};
use weir_tests::{repository, rows};

use super::cases::{Harm, Without};
use super::check::{config_of, others_as_if_alone, run, story};

/// A guest as text, the one limit within its reach, and the harm that it does without it.
#[derive(Clone, Debug)]
pub(super) struct TextCase {
    pub(super) name: &'static str,
    world: World,
    /// Lines of the good guest, and what stands in their place.
    edits: Vec<(&'static str, String)>,
    limits: &'static str,
    pub(super) meets: Meets,
    pub(super) without: Without,
}

/// Where it breaks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Meets {
    /// It is refused: in which step, why, and what is said of it.
    AtLoad(&'static str, FaultReason, &'static str),
    /// Its calls break, all of them: why, and what is said of it.
    InCalls(FaultReason, &'static str),
    /// It is answered, and that is all.
    Nothing,
}

/// A case of a filter; the engine holds.
fn case(name: &'static str, edits: &[(&'static str, &str)], meets: Meets) -> TextCase {
    let edits = edits.iter().map(|(line, by)| (*line, (*by).to_owned()));
    TextCase {
        name,
        world: World::Filter,
        edits: edits.collect(),
        limits: "",
        meets,
        without: Without::NoHarm,
    }
}

/// A case of a filter whose calls the engine ends, in those words.
fn ends(name: &'static str, edits: &[(&'static str, &str)], words: &'static str) -> TextCase {
    case(name, edits, Meets::InCalls(FaultReason::Trap, words)).engine(words)
}

impl TextCase {
    /// What the engine says, or what its check is called.
    fn engine(mut self, check: &'static str) -> Self {
        self.without = Without::Engine(check);
        self
    }

    fn without(mut self, off: &'static [Limit], harm: Harm) -> Self {
        self.without = Without::Limits(off, harm);
        self
    }

    const fn limits(mut self, limits: &'static str) -> Self {
        self.limits = limits;
        self
    }

    fn of(mut self, world: World) -> Self {
        self.world = world;
        self
    }
}

/// All of them.
pub(super) fn all() -> Vec<TextCase> {
    let mut all = answers::cases();
    all.extend(exports::cases());
    all.extend(reallocs::cases());
    all.extend(shapes::cases());
    all
}

// Lines of the good guest, in whose place others stand.
const MODULE: &str = "(;module;)";
const CALL: &str = "(;call;)";
const COMPONENT: &str = "(;component;)";
const MEMORY: &str = r#"(memory (export "memory") 2)"#;
const DESCRIBE: &str = r#"(func (export "describe") (result i32) i32.const 256)"#;
const INIT: &str = r#"(func (export "init") (param i32 i32) (result i32) i32.const 320)"#;
const SELF_TEST: &str = r#"(func (export "self-test") (result i32) i32.const 384)"#;
const REALLOC: &str =
    r#"(func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)"#;
const KEEP_LIFT: &str = r#"(canon lift (core func $guest "keep") (memory $memory))"#;
const DROP: &str = "(core func $drop (canon resource.drop $batch))";
const IMPORTS: &str = r#"(core instance $imports (export "drop" (func $drop)))"#;

/// Where the part begins that makes the guest a filter.
const WORLD_BEGINS: &str = "  (type $selection (variant";
/// A trigger's one rule, which `init` answers.
const RULE: &str = r#"(data (i32.const 348) "\80\02\00\00\01\00\00\00")
    (data (i32.const 640) "\bc\02\00\00\03\00\00\00\bc\02\00\00\03\00\00\00")
    (data (i32.const 700) "low")"#;
/// A stage is given texts: each lies behind the one before.
const BUMPING: &str = r#"(global $next (mut i32) (i32.const 1024))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $at) (local.get 3)))
      (local.get $at))"#;

/// The text without the comment above it, which names the markers, too.
fn text_of(path: &str) -> String {
    let file = repository::text(path);
    let lines = file.lines().filter(|line| !line.starts_with(";;"));
    lines.collect::<Vec<_>>().join("\n")
}

fn edit(text: &str, line: &str, by: &str) -> String {
    assert!(text.contains(line), "no {line}");
    text.replacen(line, by, 1)
}

/// The folder's good guest, of that world, with other lines in the place of some.
fn component(world: World, edits: &[(&str, String)]) -> Vec<u8> {
    let mut text = text_of("guests/hostile/filter.wat");
    if world != World::Filter {
        let end = text.find(WORLD_BEGINS).expect("where the world begins");
        text.truncate(end);
        text += &text_of(&format!("guests/hostile/{}.wat", world.as_str()));
    }
    for (line, by) in edits {
        text = edit(&text, line, by);
    }
    match world {
        World::Filter => {}
        World::Trigger => text = edit(&text, INIT, &format!("{INIT}\n{RULE}")),
        World::Stage => {
            text = edit(&text, REALLOC, BUMPING);
            let drop = "(call $drop (i32.load (local.get $events)))";
            let drop = format!("{drop} (global.set $next (i32.const 1024))");
            text = edit(&text, "(call $drop (local.get $events))", &drop);
        }
    }
    wat::parse_str(&text).unwrap_or_else(|error| panic!("it is no component: {error}"))
}

/// The guest in a slot of its own, among good ones.
fn setup(case: &TextCase, slot: &str, off: &[Limit]) -> Setup {
    let module = format!("{}.wasm", case.name);
    Setup::new(config_of(case.world, &module, slot, "{}", case.limits))
        .with_component(&module, &component(case.world, &case.edits))
        .without(slot, off)
}

/// Faults of a guest that breaks on every row: in the search through a batch of four, two of the whole, two
/// of its halves, four of its rows; a batch of one row is its own culprit when it has broken it twice.
const fn faults_of_batch(world: World) -> u64 {
    match world {
        World::Filter | World::Trigger => 8,
        World::Stage => 2,
    }
}

/// Every batch that it was asked about was searched to its end. From the second one on it is paused.
fn breaks_on_every_row(world: World, counts: &SlotStatistics, reason: FaultReason, line: &str) {
    let story = format!("{line}: {}", story(counts));
    assert!(counts.faulted >= 2, "{story}");
    let faults = counts.faulted * faults_of_batch(world);
    assert_eq!(counts.faults, [(reason, faults)].into(), "{story}");
    assert_eq!(counts.rows_unanswered, 16, "{story}");
    assert_eq!(counts.answered, 0, "{story}");
}

/// Whether a refusal says so, on one line that no terminal obeys.
fn is_refused(refusal: &str, during: &str, reason: FaultReason, says: &str) {
    let expected = format!("fault in {during}: {reason}");
    assert!(refusal.contains(&expected), "{expected}: {refusal}");
    assert!(refusal.contains(says), "{says}: {refusal}");
    assert!(!refusal.contains(|c: char| c.is_control()), "{refusal:?}");
}

fn check(case: &TextCase) {
    let slot = format!("text-{}", case.name);
    let (reason, says) = match case.meets {
        Meets::AtLoad(during, reason, says) => {
            return is_refused(&setup(case, &slot, &[]).refusal(), during, reason, says);
        }
        Meets::InCalls(reason, says) => (reason, says),
        Meets::Nothing => {
            let finished = run(setup(case, &slot, &[]));
            assert_eq!(finished.slot(&slot).faults_total(), 0, "{slot}");
            assert_eq!(finished.slot(&slot).rows_answered, 16, "{slot}");
            return others_as_if_alone(&finished, &slot);
        }
    };
    let finished = run(setup(case, &slot, &[]));
    let counts = finished.slot(&slot);
    breaks_on_every_row(case.world, counts, reason, case.name);
    let fault = counts.last_fault.as_ref().expect("a fault is kept");
    assert!(fault.message.contains(says), "{slot}: {says}: {fault}");
    assert_eq!(finished.requests(&slot).count(), 0, "{slot}");
    assert_eq!(finished.findings(&slot).count(), 0, "{slot}");
    others_as_if_alone(&finished, &slot);
}

/// A single row: who burns a deadline runs at a low priority, and on a busy machine that takes long.
fn run_one(setup: Setup) -> Finished {
    let rig = setup.start();
    let rig = rig.unwrap_or_else(|error| panic!("it doesn't start: {error}"));
    rig.send(rows::processes(1, 1));
    rig.finish()
}

fn check_without_limits(case: &TextCase) {
    let Without::Limits(off, harm) = case.without else {
        return;
    };
    let slot = format!("text-{}-off", case.name);
    let setup = setup(case, &slot, off);
    match (case.meets, harm) {
        (_, Harm::Answered) => {
            let finished = run_one(setup);
            let counts = finished.slot(&slot);
            assert_eq!(counts.faults_total(), 0, "{slot}: {}", story(counts));
            assert_eq!(counts.rows_answered, 1, "{slot}: {}", story(counts));
        }
        (Meets::AtLoad(during, ..), Harm::RunsInto(reason, says)) => {
            is_refused(&setup.refusal(), during, reason, says);
        }
        (_, Harm::Refused(says)) => {
            let refusal = setup.refusal();
            assert!(refusal.contains(says), "{slot}: {says}: {refusal}");
        }
        (_, Harm::RunsInto(reason, says)) => {
            let finished = run_one(setup);
            let counts = finished.slot(&slot);
            assert!(counts.faults.contains_key(&reason), "{}", story(counts));
            let fault = counts.last_fault.as_ref().expect("a fault is kept");
            assert!(fault.message.contains(says), "{slot}: {fault}");
        }
        (_, harm) => panic!("{slot}: no text does {harm:?}"),
    }
}

/// Looks at every case, and says at the end which ones don't hold.
fn each(cases: &[TextCase], check: fn(&TextCase)) {
    let holds = |case: &TextCase| std::panic::catch_unwind(|| check(case)).is_ok();
    let broken: Vec<&str> = cases
        .iter()
        .filter(|case| !holds(case))
        .map(|case| case.name)
        .collect();
    assert!(broken.is_empty(), "doesn't hold: {broken:?}");
}

#[test]
fn a_guest_as_text_that_was_built_against_the_first_contract_still_runs() {
    for world in World::ALL {
        check(&case("good", &[], Meets::Nothing).of(world));
    }
}

#[test]
fn a_guest_that_lies_about_its_name_is_told_of_in_a_word_and_known_by_its_digest() {
    let all = answers::cases();
    let lies = all.iter().find(|case| case.name == "describe-lies");
    let lies = lies.expect("the case");
    let rig = setup(lies, "lies", &[]).start();
    let rig = rig.unwrap_or_else(|error| panic!("it doesn't start: {error}"));
    let text = config_of(lies.world, "describe-lies.wasm", "lies", "{}", "");
    let request = LoadRequest {
        embedded_default: &text,
        ..LoadRequest::default()
    };
    let settings = weir::config::load(&request).expect("a config").config;
    let trust = TrustSettings::default();
    let guest = rig
        .guests()
        .prepare("lies", &settings.slots["lies"], &trust);
    let guest = guest.expect("a guest");
    let (name, _) = &guest.description;
    assert!(name.starts_with("\\u{1b}[2J"), "{name:?}");
    assert!(name.len() < 200, "{} bytes", name.len());
    let digest = guest.digest.to_string();
    assert_eq!(rig.finish().slot("lies").digest, digest);
}

#[test]
fn an_answer_that_is_none_costs_its_guest_the_call_and_nobody_else_anything() {
    each(&answers::cases(), check);
}

#[test]
fn an_export_that_does_harm_costs_its_guest_the_call_and_nobody_else_anything() {
    each(&exports::cases(), check);
}

#[test]
fn an_allocator_that_lies_costs_its_guest_the_call_and_nobody_else_anything() {
    each(&reallocs::cases(), check);
}

#[test]
fn a_guest_of_a_shape_that_does_harm_is_refused_or_costs_itself_its_call() {
    each(&shapes::cases(), check);
}

#[test]
fn without_the_limit_a_guest_as_text_does_its_harm() {
    each(&all(), check_without_limits);
}
