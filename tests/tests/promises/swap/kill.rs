//! A kill at any moment: the daemon comes up with a guest that has proved itself, and with that one's state.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use serde_json::Value;
use weir::store::Store;
use weir_tests::PATIENCE;
use weir_tests::daemon::{Daemon, Home};

/// How often the config asks for another guest.
const SWAPS: u64 = 50;
/// After so many of them the daemon is killed.
const SWAPS_A_KILL: u64 = 3;
/// At most so long after the config has changed: a swap and its probation take about as long.
const MOMENT_MAX_MS: u64 = 250;
/// The seed, where a run is to be repeated.
const SEED: &str = "WEIR_SEED";

/// The config that asks for the guest which signs with that number, under flow.
fn config(number: u64) -> String {
    format!(
        r#"
[sources.process]
kind = "process"
interval = "10ms"
events = false
[collector]
batch_timeout = "5ms"
# A request of each batch, whether or not there are new processes.
[admission]
dedup_window = "0s"
rate_max = 1_000_000
[swap]
probation_batches = 3
[slots.signs]
module = "weir_hostile_trigger.wasm"
settings = {{ do = "sign-state", amount = {number} }}
grants = ["log", "state"]
[sinks.requests]
kind = "json"
patterns = ["control.trigger.>"]
"#
    )
}

/// Numbers that look like chance (SplitMix64, Steele and others, 2014).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

fn seed() -> u64 {
    let given = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(0, |now| u64::from(now.subsec_nanos()))
    })
}

/// Who signed the state before, and who does now, as the next request tells it.
fn signatures(daemon: &mut Daemon) -> (u64, u64) {
    let line = daemon.wait_for("a request", |line| line["event"]["kind"] == "trigger");
    let text = line["event"]["metadata"][0].as_str().expect("a message");
    let text = text.strip_prefix("message=").expect("a message");
    let (before, own) = text.split_once(' ').expect("two numbers");
    let number = |text: &str| text.parse().expect("a number");
    (number(before), number(own))
}

/// Which guest is kept as confirmed, and who has signed the state that is kept with it.
fn kept(home: &Home) -> Option<(u64, u64)> {
    let store = Store::open(&home.path("state")).expect("nobody has it open");
    let kept = store.kept("signs").expect("it can be read");
    let settings: Value = serde_json::from_str(&kept.confirmed?.settings).expect("JSON");
    let signed = kept.state.get("signed-by").map(|bytes| &bytes[..]);
    let signed = signed.and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
    let own = settings["amount"].as_u64().expect("a number");
    Some((own, signed.map_or(own, u64::from_le_bytes)))
}

#[test]
fn after_a_kill_at_any_moment_a_confirmed_guest_comes_up_with_its_own_state() {
    let seed = seed();
    println!("{SEED}={seed}");
    let mut chance = Chance(seed);
    let home = Home::new();
    let path = home.write("weir.toml", config(1));
    let start = || home.start(&["run", "--config", path.to_str().expect("a text")]);
    let mut daemon = start();
    // The first one is in force, and was kept, before anything takes over from it.
    assert_eq!(signatures(&mut daemon).1, 1);
    let (mut confirmed, mut kills) = (1, 0);
    for number in 2..=SWAPS + 1 {
        home.write("weir.toml", config(number));
        daemon.signal(Signal::HUP);
        let moment = Instant::now() + Duration::from_millis(chance.below(MOMENT_MAX_MS));
        while let Some(line) = daemon.next_line(moment.saturating_duration_since(Instant::now())) {
            // Told, so it was kept before: its number among the generations is not that of the config.
            if line["type"] == "swap" && line["notice"]["what"] == "confirmed" {
                confirmed = confirmed.max(kept_number(&line));
            }
        }
        if number % SWAPS_A_KILL != 0 {
            continue;
        }
        daemon.kill();
        kills += 1;
        let (generation, signed) = kept(&home).unwrap_or((1, 1));
        assert_eq!(
            generation, signed,
            "{SEED}={seed}: another's state after {kills} kills"
        );
        assert!(generation <= number, "{SEED}={seed}");
        daemon = start();
        let (before, own) = signatures(&mut daemon);
        // What the config asks for follows on probation, from the state of the one that is confirmed.
        assert!(own == generation || own == number, "{SEED}={seed}: {own}");
        assert!(
            before == generation || before == 0,
            "{SEED}={seed}: {before}, not {generation}"
        );
    }
    assert!(kills > 10, "{kills} kills, of {confirmed} generations");
    let until = Instant::now() + PATIENCE;
    // In peace the last one proves itself.
    while signatures(&mut daemon) != (SWAPS + 1, SWAPS + 1) {
        assert!(Instant::now() < until, "{SEED}={seed}: it never takes over");
    }
}

fn kept_number(line: &Value) -> u64 {
    line["notice"]["generation"].as_u64().unwrap_or_default()
}
