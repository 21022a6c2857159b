//! Admission as a whole: the order of its questions, and that everything adds up.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use weir_bus::Timestamp;
use weir_bus::batch::Batch;
use weir_bus::event::{PerformanceEvent, ProcessEvent};

use super::admission::{Admission, Firing};
use super::*;
use crate::config::{LoadRequest, load};
use crate::sandbox::Rule;

fn policy(toml: &str) -> Policy {
    let request = LoadRequest {
        embedded_default: toml,
        ..LoadRequest::default()
    };
    let loaded = load(&request).expect("a config");
    let targets = Targets {
        chains: ["chain".to_owned()].into(),
        sources: [("source".to_owned(), &["sha256"][..])].into(),
    };
    Policy::new(&loaded.config, targets)
}

fn rule(name: &str, priority: Priority, target: &str) -> Rule {
    Rule {
        name: name.to_owned(),
        priority: priority.as_str().to_owned(),
        target: target.to_owned(),
    }
}

fn process(executable: &str, pid: u32) -> Batch {
    let topic = weir_bus::topic::of_event(weir_bus::Kind::Process, "test");
    let event = ProcessEvent {
        pid,
        start_time: Timestamp(1),
        executable: (!executable.is_empty()).then(|| executable.to_owned()),
        ..ProcessEvent::default()
    };
    Batch::of_events(topic, "test", 0, &[event.into()]).expect("a batch")
}

/// Admission with its policy, and a time that stands still.
struct Gate {
    admission: Admission,
    policy: Policy,
    now: Instant,
}

impl Gate {
    fn new(toml: &str) -> Self {
        let policy = policy(toml);
        Self {
            admission: Admission::new(&policy),
            policy,
            now: Instant::now(),
        }
    }

    fn offer(&mut self, rule: &Rule, batch: &Batch, message: Option<&str>) -> Result<(), Refusal> {
        let firing = Firing {
            slot: CONDITIONS_SLOT,
            rule: Some(rule),
            batch,
            row: 0,
            message,
        };
        let decided = self.admission.offer(firing, &self.policy, self.now);
        decided.map(|_| ())
    }

    fn counts(&mut self, rule: &str) -> TriggerCounts {
        let mut known = self.admission.known();
        let found = known.find(|(name, _)| name.rule == rule);
        found.map(|(_, known)| known.counts).unwrap_or_default()
    }

    fn total(&mut self) -> TriggerCounts {
        let mut total = TriggerCounts::default();
        self.admission
            .known()
            .for_each(|(_, known)| total.add(&known.counts));
        total
    }
}

#[test]
fn the_same_about_the_same_is_silent_until_its_window_is_over() {
    let mut gate = Gate::new("");
    let rule = rule("r", Priority::Normal, "");
    let (x, y) = (process("/tmp/x", 1), process("/tmp/y", 2));
    // Another process of the same executable is the same.
    let again = process("/tmp/x", 3);
    let expected = [
        (&x, Ok(())),
        (&x, Err(Refusal::Duplicate)),
        (&again, Err(Refusal::Duplicate)),
        (&y, Ok(())),
    ];
    for (batch, expected) in expected {
        assert_eq!(gate.offer(&rule, batch, None), expected);
    }
    gate.now += Duration::from_secs(300);
    assert_eq!(gate.offer(&rule, &x, None), Ok(()));
    assert!(gate.total().balance());
}

#[test]
fn without_a_path_a_process_is_known_by_its_pid_and_start() {
    let mut gate = Gate::new("");
    let rule = rule("r", Priority::Normal, "");
    assert_eq!(gate.offer(&rule, &process("", 1), None), Ok(()));
    assert_eq!(
        gate.offer(&rule, &process("", 1), None),
        Err(Refusal::Duplicate)
    );
    assert_eq!(gate.offer(&rule, &process("", 2), None), Ok(()));
}

#[test]
fn what_is_refused_is_not_remembered_and_costs_no_token() {
    let mut gate = Gate::new("[admission]\nqueue_requests_max = 1\nrate_max = 2\n");
    let rule = rule("r", Priority::Normal, "");
    assert_eq!(gate.offer(&rule, &process("/a", 1), None), Ok(()));
    for _ in 0..10 {
        let full = gate.offer(&rule, &process("/b", 1), None);
        assert_eq!(full, Err(Refusal::QueueFull));
        let again = gate.offer(&rule, &process("/a", 1), None);
        assert_eq!(again, Err(Refusal::Duplicate));
    }
    gate.admission.queue.pop();
    assert_eq!(gate.offer(&rule, &process("/b", 1), None), Ok(()));
    gate.admission.queue.pop();
    let third = gate.offer(&rule, &process("/c", 1), None);
    assert_eq!(third, Err(Refusal::RateLimited));
    assert!(gate.total().balance());
}

#[test]
fn a_flood_is_admitted_by_rate_and_priority_and_every_refusal_has_its_reason() {
    const FIRINGS: u32 = 100_000;
    let mut gate = Gate::new("[admission]\nrate_max = 100\nqueue_requests_max = 300\n");
    let rules = [
        rule("low", Priority::Low, ""),
        rule("normal", Priority::Normal, ""),
        rule("high", Priority::High, ""),
        rule("critical", Priority::Critical, ""),
    ];
    for number in 0..FIRINGS {
        let rule = &rules[(number % 4) as usize];
        let batch = process(&format!("/tmp/{number}"), number + 1);
        let _ = gate.offer(rule, &batch, None);
    }
    let counts = ["low", "normal", "high", "critical"].map(|rule| gate.counts(rule));
    let [low, normal, high, critical] = counts;
    // In turn each gets as much, until 240 of 300 wait: then low is refused.
    assert_eq!((low.admitted, low.rate_limited), (60, 0));
    assert_eq!(low.low_priority + low.queue_full, 25_000 - 60);
    assert!(low.low_priority > 0);
    for counts in [normal, high, critical] {
        assert_eq!(counts.admitted, 80);
        assert_eq!(counts.queue_full, 25_000 - 80);
    }
    let total = gate.total();
    assert_eq!((total.fired, total.waiting), (u64::from(FIRINGS), 300));
    assert!(total.balance());
    let order = std::iter::from_fn(|| gate.admission.queue.pop());
    let order: Vec<Priority> = order.map(|waiting| waiting.request.priority).collect();
    assert!(order.is_sorted_by(|one, next| one >= next), "{order:?}");
}

#[test]
fn a_flood_of_one_trigger_is_admitted_at_its_rate() {
    let mut gate = Gate::new("");
    let rule = rule("r", Priority::High, "");
    for number in 0..100_000_u32 {
        let _ = gate.offer(&rule, &process(&format!("/tmp/{number}"), 1), None);
    }
    let counts = gate.counts("r");
    assert_eq!((counts.admitted, counts.rate_limited), (100, 99_900));
    assert!(counts.balance());
}

#[test]
fn an_exception_is_silent_about_its_value_and_nothing_else() {
    let mut gate = Gate::new(
        "[trigger.r]\ncondition = \"true\"\n\
         [exception.x]\ntrigger = \"r\"\ncolumn = \"executable\"\nvalue = \"/tmp/x\"\n",
    );
    let (r, other) = (
        rule("r", Priority::Normal, ""),
        rule("o", Priority::Normal, ""),
    );
    let x = process("/tmp/x", 1);
    assert_eq!(gate.offer(&r, &x, None), Err(Refusal::Excepted));
    assert_eq!(gate.offer(&r, &process("/tmp/xy", 1), None), Ok(()));
    assert_eq!(gate.offer(&other, &x, None), Ok(()));
    assert_eq!(gate.counts("r").excepted, 1);
}

#[test]
fn what_nobody_can_answer_is_refused_with_its_reason() {
    // The config's source offers that, and the one that is at work offers another.
    let mut gate = Gate::new(
        "[sources.source]\nkind = \"binary-hash\"\n\
         [trigger.hash]\ncondition = \"true\"\ntarget = \"source\"\nanalysis = \"binary-hash\"\n",
    );
    let x = process("/tmp/x", 1);
    let topic = weir_bus::topic::of_event(weir_bus::Kind::Performance, "test");
    let load = PerformanceEvent::default();
    let load = Batch::of_events(topic, "test", 0, &[load.into()]).expect("a batch");
    let long = process(&format!("/{}", "x".repeat(4_096)), 1);
    let megabyte = "x".repeat(1 << 20);
    let cases = [
        ("r", "chain", &load, None, Ok(())),
        ("r", "", &load, None, Err(Refusal::Duplicate)),
        ("r", "source", &x, None, Ok(())),
        ("r", "source", &load, None, Err(Refusal::Invalid)),
        ("r", "nobody", &x, None, Err(Refusal::NoTarget)),
        ("hash", "source", &x, None, Err(Refusal::NoTarget)),
        ("r", "", &long, None, Err(Refusal::Invalid)),
        ("r", "", &x, Some(megabyte.as_str()), Err(Refusal::Invalid)),
    ];
    for (name, target, batch, message, expected) in cases {
        let rule = rule(name, Priority::Normal, target);
        assert_eq!(
            gate.offer(&rule, batch, message),
            expected,
            "{name} {target}"
        );
    }
    assert!(gate.total().balance());
}

#[test]
fn the_columns_of_a_trigger_tell_what_is_the_same() {
    let mut gate = Gate::new("[trigger.r]\ncondition = \"true\"\ndedup_by = [\"pid\"]\n");
    let rule = rule("r", Priority::Normal, "");
    assert_eq!(gate.offer(&rule, &process("/a", 1), None), Ok(()));
    assert_eq!(gate.offer(&rule, &process("/a", 2), None), Ok(()));
    assert_eq!(
        gate.offer(&rule, &process("/b", 1), None),
        Err(Refusal::Duplicate)
    );
}

/// What happens to a gate in the property test.
#[derive(Clone, Debug)]
enum Step {
    Offer { rule: usize, path: u8, long: bool },
    Take,
    Wait(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..8_usize, any::<u8>(), any::<u8>()).prop_map(|(rule, path, long)| Step::Offer {
            rule,
            path,
            long: long < 8,
        }),
        2 => Just(Step::Take),
        1 => (0..2_000_u16).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn whatever_comes_the_counts_balance_and_the_bounds_hold(
        steps in prop::collection::vec(step(), 1..400)
    ) {
        let mut gate = Gate::new(
            "[admission]\nrate_max = 20\nrate_window = \"10s\"\ndedup_window = \"5s\"\n\
             dedup_entries_max = 30\nqueue_requests_max = 12\n",
        );
        let rules: Vec<Rule> = (0..8)
            .map(|number| {
                let target = if number == 7 { "nobody" } else { "" };
                rule(&number.to_string(), Priority::ALL[number % 4], target)
            })
            .collect();
        for step in steps {
            match step {
                Step::Offer { rule, path, long } => {
                    let tail = "x".repeat(if long { 5_000 } else { 0 });
                    let batch = process(&format!("/tmp/{path}{tail}"), 1);
                    let _ = gate.offer(&rules[rule], &batch, None);
                }
                Step::Take => {
                    if let Some(waiting) = gate.admission.queue.pop()
                        && let Some(counts) = gate.admission.counts_of(&waiting.request.event)
                    {
                        counts.waiting -= 1;
                        counts.answered += 1;
                    }
                }
                Step::Wait(millis) => gate.now += Duration::from_millis(millis.into()),
            }
            let total = gate.total();
            prop_assert!(total.balance(), "{total:?}");
            prop_assert!(total.waiting <= 12);
            prop_assert!(gate.admission.dedup.len() <= 30);
        }
    }
}
