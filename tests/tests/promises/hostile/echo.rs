//! What guests say and guests hear again: requests that lead to requests end at a depth, and what waits for a
//! stage is weighed with all that it carries.

use weir::sandbox::World;
use weir_tests::rig::{Finished, Rig, Setup};
use weir_tests::rows;

use super::check::config;

/// Rows that are sent, each of which fires once by itself.
const ROWS: u32 = 16;
/// The most requests that may come before one in its cascade.
const DEPTH_MAX: u64 = 5;

fn finish(rig: Rig) -> Finished {
    let finished = rig.finish();
    let all: Vec<u32> = (1..=ROWS).collect();
    assert_eq!(finished.pids(), all);
    finished
}

#[test]
fn two_triggers_that_answer_each_others_requests_end_at_the_depth() {
    let echo = |name: &str| {
        format!(
            "[slots.{name}]\nmodule = \"weir_hostile_trigger.wasm\"\ngrants = [\"log\", \"state\"]\nsettings = {{ do = \"echo\" }}\n"
        )
    };
    let text = config(World::Trigger, "echo-one", r#"{ do = "echo" }"#, "");
    let rig = Setup::new(text + &echo("echo-two"));
    let rig = rig.start().unwrap_or_else(|error| panic!("{error}"));
    rig.send(rows::processes(1, ROWS));
    let rows = u64::from(ROWS);
    rig.wait_until("both are cut", |rig, _| {
        let cut = |slot| {
            let rules = rig.fired(slot);
            rules.iter().map(|rule| rule.counts.too_deep).sum::<u64>() == rows
        };
        ["echo-one", "echo-two"].into_iter().all(cut)
    });
    let finished = finish(rig);
    for slot in ["echo-one", "echo-two"] {
        let requests: Vec<_> = finished.requests(slot).collect();
        assert_eq!(requests.len() as u64, rows * DEPTH_MAX, "{slot}");
        let depths = requests.iter().map(|request| u64::from(request.depth));
        assert_eq!(depths.max(), Some(DEPTH_MAX), "{slot}");
        // All of a cascade are told by the id of its first request.
        for request in requests {
            let is_root = |root: &&weir_bus::event::TriggerEvent| {
                root.request_id == request.root_id && root.depth == 0
            };
            let root = finished.requests("good-trigger").find(is_root);
            assert!(root.is_some(), "{request:?}");
            assert!(request.parent_id.is_some(), "{request:?}");
        }
        assert_eq!(finished.slot(slot).faults_total(), 0, "{slot}");
    }
}
