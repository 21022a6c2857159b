//! Chains with real guests and real sources.

use std::process::{Command, Stdio};

use serde_json::Value;
use weir::trigger::CONDITIONS_SLOT;
use weir_bus::event::FindingEvent;
use weir_tests::daemon::Home;
use weir_tests::rig::{Finished, Rig, Setup};
use weir_tests::rows;

use super::trigger;

fn stage(name: &str, does: &str) -> String {
    format!(
        "[slots.{name}]\nmodule = \"weir_hostile_stage.wasm\"\ngrants = [\"log\", \"state\", \"metrics\", \"inspect\"]\n\
         settings = {{ do = \"{does}\" }}\n"
    )
}

fn start(config: &str) -> Rig {
    let rig = Setup::new(config).start();
    rig.unwrap_or_else(|error| panic!("it doesn't start: {error}"))
}

/// Runs a chain for one row; the chain's stages are `stages`, in TOML.
fn run(slots: &str, stages: &str) -> Finished {
    let config = trigger("t", "pid = 1", "target = \"c\"") + slots + stages;
    let rig = start(&config);
    rig.send(rows::processes(1, 1));
    rig.wait_until("the run has ended", |rig, _| {
        let fired = rig.fired(CONDITIONS_SLOT);
        let total = fired.first().map(|trigger| trigger.counts);
        total.is_some_and(|counts| counts.admitted == 1 && counts.waiting + counts.under_way == 0)
    });
    rig.finish()
}

fn guests(finished: &Finished) -> Vec<&str> {
    let findings = finished.events.iter().filter_map(|event| match event {
        weir_bus::CollectionEvent::Finding(finding) => Some(finding.guest.as_str()),
        _ => None,
    });
    let mut guests: Vec<&str> = findings.collect();
    guests.sort_unstable();
    guests
}

#[test]
fn a_diamond_ends_in_the_findings_of_its_last_stage() {
    let slots = ["a", "b", "c", "d"]
        .map(|name| stage(name, "find"))
        .concat();
    let finished = run(
        &slots,
        "[chain.c.stages.a]\n[chain.c.stages.b]\nafter = [\"a\"]\n[chain.c.stages.c]\nafter = [\"a\"]\n\
         [chain.c.stages.d]\nafter = [\"b\", \"c\"]\n",
    );
    assert_eq!(guests(&finished), ["d"]);
    assert_eq!(finished.status.triggers.total.answered, 1);
    let finding: &FindingEvent = finished.findings("d").next().expect("a finding");
    let request = finished
        .requests(CONDITIONS_SLOT)
        .next()
        .expect("a request");
    assert_eq!(
        finding.parent_id.as_deref(),
        Some(request.request_id.as_str())
    );
    assert_eq!(finding.root_id, request.root_id);
}

#[test]
fn an_optional_stage_that_fails_is_gone_without_and_a_required_one_fails_what_follows() {
    let slots = stage("good", "find") + &stage("bad", "reject") + &stage("last", "find");
    let after = "[chain.c.stages.good]\n[chain.c.stages.last]\nafter = [\"good\", \"bad\"]\n";
    let optional = run(
        &slots,
        &format!("{after}[chain.c.stages.bad]\noptional = true\n"),
    );
    assert_eq!(guests(&optional), ["last"]);
    assert_eq!(optional.status.triggers.total.answered, 1);
    let required = run(&slots, &format!("{after}[chain.c.stages.bad]\n"));
    // What was found is not lost because another failed.
    assert_eq!(guests(&required), ["good"]);
    assert_eq!(required.status.triggers.total.failed, 1);
}

#[test]
fn a_stage_of_a_chain_takes_requests_by_itself_of_the_triggers_that_it_names() {
    for (triggers, expected) in [("triggers = [\"conditions\"]\n", 1), ("", 0)] {
        let config =
            trigger("t", "pid = 1", "") + &stage("a", "find") + triggers + "[chain.c.stages.a]\n";
        let rig = start(&config);
        rig.send(rows::processes(1, 1));
        rig.wait_until("the request is answered", |rig, _| {
            let fired = rig.fired(CONDITIONS_SLOT);
            fired
                .first()
                .is_some_and(|trigger| trigger.counts.answered == 1)
        });
        assert_eq!(rig.finish().findings("a").count(), expected, "{triggers}");
    }
}

#[test]
fn a_kept_guest_that_asks_a_chain_which_is_gone_keeps_nobody_from_starting() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let start = |config: String| {
        let started = Setup::new(config).with_state_folder(folder.path()).start();
        started.unwrap_or_else(|error| panic!("it doesn't start: {error}"))
    };
    let chained = trigger("old", "pid = 1", "target = \"c\"") + &stage("a", "find");
    let rig = start(chained + "[chain.c.stages.a]\n");
    rig.send_through(rows::processes(1, 1));
    drop(rig.finish());
    let rig = start(trigger("new", "pid = 1", ""));
    rig.send(rows::processes(1, 1));
    rig.wait_until("the new one fires", |rig, _| {
        let fired = rig.fired(CONDITIONS_SLOT);
        fired.iter().any(|trigger| trigger.rule == "new")
    });
    drop(rig.finish());
}

#[test]
fn a_stage_that_fails_is_tried_again_as_often_as_it_may_be() {
    let config = trigger("t", "pid = 1", "target = \"c\"")
        + &stage("bad", "reject")
        + "[chain.c.stages.bad]\nretries = 2\nretry_pause = \"1ms\"\n";
    let rig = start(&config);
    rig.send(rows::processes(1, 1));
    rig.wait_until("it has failed", |rig, _| {
        let fired = rig.fired(CONDITIONS_SLOT);
        fired
            .first()
            .is_some_and(|trigger| trigger.counts.failed == 1)
    });
    let status = rig.pipeline().chains().status();
    let stage = &status.ended[0].stages[0];
    assert_eq!((stage.attempts, stage.state), (3, "failed"), "{stage:?}");
    drop(rig.finish());
}

#[test]
fn fifty_runs_are_under_way_at_a_time_and_an_operator_cancels_one() {
    // A stage that waits in the host, where no limit of the guest's sees it: its runs stay under way.
    let config = trigger("t", "pid > 0", "target = \"c\"")
        + &stage("slow", "sleep").replace("\"sleep\"", "\"sleep\", amount = 3_600")
        + "[slots.slow.limits]\nwall_factor = 100\n[chain.c]\ntimeout = \"10m\"\n[chain.c.stages.slow]\ntimeout = \"10m\"\n\
           [admission]\nrate_max = 1000\n[chains]\nruns_max = 50\n";
    let started = Setup::new(config)
        .without("slow", &[weir::sandbox::Limit::WouldBlock])
        .start();
    let rig = started.unwrap_or_else(|error| panic!("it doesn't start: {error}"));
    rig.send(rows::processes(1, 80));
    rig.wait_until("fifty are under way", |rig, _| {
        let fired = rig.fired(CONDITIONS_SLOT);
        let counts = fired.first().map(|trigger| trigger.counts);
        counts.is_some_and(|counts| (counts.under_way, counts.waiting) == (50, 30))
    });
    let chains = rig.pipeline().chains();
    let run = chains.status().runs[7].request_id.clone();
    chains
        .cancel(&run, "a test wants it")
        .expect("it is under way");
    rig.wait_until("another takes its place", |rig, _| {
        let fired = rig.fired(CONDITIONS_SLOT);
        let counts = fired[0].counts;
        (counts.under_way, counts.waiting, counts.cancelled) == (50, 29, 1)
    });
    assert!(chains.cancel("no-such-run", "").is_err());
    assert_eq!(rig.pipeline().triggers().cancel_waiting(None), 29);
    chains.cancel_all("a test wants it");
    rig.wait_until("all are cancelled", |rig, _| {
        rig.fired(CONDITIONS_SLOT)[0].counts.cancelled == 80
    });
}

#[test]
fn an_executable_from_a_folder_leads_to_one_finding_with_digest_details_and_parents() {
    let home = Home::new();
    let program = home.path("program");
    let path = std::env::var_os("PATH").expect("there are programs");
    let sleep = std::env::split_paths(&path)
        .map(|folder| folder.join("sleep"))
        .find(|program| program.is_file())
        .expect("there is a `sleep`");
    std::fs::copy(sleep, &program).expect("a copy");
    let folder = home.path("").to_string_lossy().into_owned();
    // As the built-in rules have it, with a folder of the test's own.
    let config = format!(
        "[rules]\nbuiltin = true\n[trigger.temporary-executable]\ncondition = \"starts_with(executable, '{folder}')\"\n\
         [sources.process]\nkind = \"process\"\ninterval = \"100ms\"\n[sinks.all]\nkind = \"json\"\npatterns = [\"findings.>\"]\n"
    );
    let file = home.write("weir.toml", config);
    let mut daemon = home.start(&["run", "--config", &file.to_string_lossy()]);
    daemon.wait_for_start();
    let mut child = Command::new(&program)
        .arg("60")
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let path = program.to_string_lossy().into_owned();
    let is_it = |line: &Value| {
        line["event"]["evidence"]
            .as_array()
            .is_some_and(|evidence| {
                evidence
                    .iter()
                    .any(|one| *one == *format!("executable={path}"))
            })
    };
    let line = daemon.wait_for("the finding", is_it);
    let evidence: Vec<&str> = line["event"]["evidence"]
        .as_array()
        .expect("evidence")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    for key in [
        "sha256=",
        "parents=",
        "cwd=",
        "capabilities=",
        "environment=",
    ] {
        assert!(
            evidence.iter().any(|one| one.starts_with(key)),
            "no {key} in {evidence:?}"
        );
    }
    child.kill().expect("it can be ended");
    child.wait().expect("it has ended");
    // The same once more, and something else after it: no finding comes between.
    let mut again = Command::new(&program).arg("60").spawn().expect("it starts");
    let told = home.run(&[
        "explain",
        "--pid",
        &again.id().to_string(),
        "--config",
        &file.to_string_lossy(),
    ]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("temporary-executable: duplicate"), "{told}");
    again.kill().expect("it can be ended");
    again.wait().expect("it has ended");
    daemon.signal(rustix::process::Signal::TERM);
    let ended = daemon.wait();
    assert_eq!(ended.lines.iter().filter(|line| is_it(line)).count(), 1);
    assert_eq!(ended.summary()["balanced"], true, "{:#}", ended.summary());
}
