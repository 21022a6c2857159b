//! Guests that come and go: hostile only after they were trusted, files that are half written, a hundred
//! reloads at once, and components that are dear to compile.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use weir::config::{LoadRequest, SlotSettings, TrustSettings};
use weir::sandbox::{
    CompileLimits, Compiler, CompilerProgram, FaultReason, GuestOrder, Sandbox, SandboxOptions,
    World,
};
use weir_tests::rig::{Rig, Setup};
use weir_tests::{hostile_guests, repository, rows, weir_binary};

use super::check::{config, config_of, others_answer};

fn settings(text: &str, slot: &str) -> SlotSettings {
    let request = LoadRequest {
        embedded_default: text,
        ..LoadRequest::default()
    };
    let config = weir::config::load(&request).expect("a config").config;
    config.slots[slot].clone()
}

fn start(setup: Setup) -> Rig {
    let started = setup.start();
    started.unwrap_or_else(|error| panic!("it doesn't start: {error}"))
}

#[test]
fn a_guest_that_is_hostile_only_when_it_is_trusted_costs_what_any_other_does() {
    let slot = "turns-hostile";
    let of = |does: &str| config(World::Filter, slot, &format!("{{ {does} }}"), "");
    let rig = start(Setup::new(of(r#"do = "answer""#)));
    // On probation it behaves, and then there is nobody to go back to.
    let turns = settings(&of(r#"do = "trap", after = 1_000"#), slot);
    rig.switch(slot, &turns);
    // In parts that fit a queue: a neighbour that has no turn meanwhile must not lose the oldest.
    for pid in 1..=1_000 {
        rig.send(rows::processes(pid, 1));
        if pid % 50 == 0 {
            rig.wait_until("nobody has a queue", |rig, _| {
                let status = rig.status();
                let counts = &status.sources[0].counts;
                let is_through = counts.produced >= u64::from(pid) && counts.in_flight() == 0;
                is_through && status.slots.iter().all(|slot| slot.queue.queued.rows == 0)
            });
        }
    }
    rig.wait_until("it is trusted", |rig, _| !rig.slot(slot).on_probation);
    rig.send_through(rows::processes(1_001, 1));
    rig.send_through(rows::processes(1_002, 1));
    let finished = rig.finish();
    let counts = finished.slot(slot);
    assert_eq!((counts.generation, counts.rollbacks), (2, 0));
    assert!(counts.faults.keys().eq([&FaultReason::Trap]), "{counts:?}");
    let all: Vec<u32> = (1..=1_002).collect();
    assert_eq!(finished.pids(), all);
    others_answer(&finished, slot, &all);
}

#[test]
fn a_file_that_is_half_written_is_refused_and_changes_nothing() {
    let slot = "half-written";
    let text = config_of(World::Filter, "written.wasm", slot, "{}", "");
    let whole = wat::parse_str(repository::text("guests/hostile/filter.wat")).expect("a guest");
    let rig = start(Setup::new(text.clone()).with_component("written.wasm", &whole));
    let settings = settings(&text, slot);
    let path = rig.folder().join("written.wasm");
    for length in [0, 1, 8, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).expect("a part");
        let prepared = rig
            .guests()
            .prepare(slot, &settings, &TrustSettings::default());
        let refusal = prepared.err().map(|error| error.to_string());
        let refusal = refusal.unwrap_or_else(|| panic!("{length} bytes are taken for a guest"));
        assert!(refusal.contains("written.wasm"), "{refusal}");
        assert!(!refusal.contains('\n'), "{refusal}");
        rig.send_through(rows::processes(1, 4));
    }
    let finished = rig.finish();
    let counts = finished.slot(slot);
    assert_eq!((counts.answered, counts.generation), (5, 1), "{counts:?}");
}

#[test]
fn a_hundred_reloads_in_a_row_lose_no_row_and_keep_no_guest() {
    const RELOADS: u32 = 100;
    let slot = "reloads";
    let text = config(World::Filter, slot, r#"{ do = "answer" }"#, "");
    let settings = settings(&text, slot);
    let rig = start(Setup::new(text));
    let mut told = Vec::new();
    for number in 0..RELOADS {
        rig.send(rows::processes(number * 4 + 1, 4));
        let guest = rig
            .guests()
            .prepare(slot, &settings, &TrustSettings::default());
        // Nobody waits for it to come into force: the next one overtakes it where it is faster.
        told.push(rig.pipeline().slots()[slot].switch(guest.expect("a guest").into()));
    }
    let last = told.pop().expect("the last");
    rig.wait(last.in_force())
        .expect("the last one comes into force");
    let finished = rig.finish();
    let all: Vec<u32> = (1..=RELOADS * 4).collect();
    assert_eq!(finished.pids(), all);
    others_answer(&finished, slot, &all);
    let counts = finished.slot(slot);
    assert_eq!(counts.rows_answered, u64::from(RELOADS * 4));
    assert!(counts.generation <= u64::from(RELOADS) + 1, "{counts:?}");
}

/// Functions that take a compiler long: calls upon calls, all of them in one.
fn dear(calls: usize) -> Vec<u8> {
    let filter = repository::text("guests/hostile/filter.wat");
    let lines = filter.lines().filter(|line| !line.starts_with(";;"));
    let function = format!(
        "(func $dear (param i32 i32) (result i32) local.get 0)
    (func (export \"dear\") (param i32) (result i32) local.get 0 {})",
        "local.get 0 call $dear ".repeat(calls)
    );
    let text = lines.collect::<Vec<_>>().join("\n");
    wat::parse_str(text.replacen("(;module;)", &function, 1)).expect("a guest")
}

/// Compiles it within limits, with a cache of its own.
fn compile(bytes: &[u8], limits: CompileLimits) -> Result<Duration, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| -> PathBuf { folder.path().join(name) };
    for name in ["cache", "state", "guests"] {
        std::fs::create_dir(path(name)).expect("a folder");
    }
    std::fs::write(path("guests").join("dear.wasm"), bytes).expect("a file");
    let sandbox = Sandbox::new(SandboxOptions {
        guest_folders: vec![path("guests"), hostile_guests().to_owned()],
        cache_folder: path("cache"),
        state_folder: path("state"),
        guests_memory_bytes_max: 64 << 20,
        compiler: Compiler::new(CompilerProgram::Path(weir_binary().to_owned()), limits),
    })
    .expect("a sandbox");
    let order = GuestOrder {
        slot: "dear".to_owned(),
        module: "dear.wasm".to_owned().into(),
        ..GuestOrder::default()
    };
    let began = Instant::now();
    match sandbox.prepare(&order) {
        Ok(_) => Ok(began.elapsed()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn a_component_that_is_dear_to_compile_is_refused_within_its_limits() {
    let bytes = dear(40_000);
    // The compiler has the lowest priority: on a busy machine it takes long for little.
    let usual = || CompileLimits {
        time_max: Duration::from_mins(10),
        ..CompileLimits::default()
    };
    let short = Duration::from_millis(5);
    for (limits, says) in [
        (
            CompileLimits {
                time_max: short,
                ..usual()
            },
            "sandbox.compile_timeout",
        ),
        (
            CompileLimits {
                memory_bytes_max: 100 << 20,
                ..usual()
            },
            "sandbox.compile_memory_bytes_max",
        ),
        (
            CompileLimits {
                code_bytes_max: 100 << 10,
                ..usual()
            },
            "machine code has more than",
        ),
    ] {
        let refusal = compile(&bytes, limits).expect_err("it is too dear");
        assert!(refusal.contains(says), "{says}: {refusal}");
    }
    // With room for it, it takes more than each of them.
    let took = compile(&bytes, usual()).expect("there is room for it");
    assert!(took > short, "{took:?}");
}

#[test]
fn a_component_that_is_too_large_is_not_even_read() {
    let slot = "too-large";
    let text = config_of(
        World::Filter,
        "large.wasm",
        slot,
        "{}",
        "component_bytes_max = \"64KiB\"",
    );
    let filter = repository::text("guests/hostile/filter.wat");
    let lines = filter.lines().filter(|line| !line.starts_with(";;"));
    let data = format!("(data \"{}\")", "x".repeat(100 << 10));
    let whole = lines.collect::<Vec<_>>().join("\n");
    let large = wat::parse_str(whole.replacen("(;module;)", &data, 1)).expect("a guest");
    let setup = |text: String| Setup::new(text).with_component("large.wasm", &large);
    let refusal = setup(text.clone()).refusal();
    assert!(refusal.contains("limits.component_bytes_max"), "{refusal}");
    let rig = start(setup(text.replace("64KiB", "1MiB")));
    rig.send_through(rows::processes(1, 4));
    assert_eq!(rig.finish().slot(slot).answered, 1);
}
