//! What is wrong with a config is told: all of it, where it is, and what would be right.

use super::*;

/// Loads a text; its errors are these, one a line.
#[track_caller]
pub(super) fn check(text: &str, expected: &[&str]) {
    let errors = load_text(text)
        .expect_err("this config is wrong")
        .to_string();
    assert_eq!(errors.lines().collect::<Vec<_>>(), expected, "{text}");
}

#[test]
fn unknown_keys_are_told_at_every_depth_with_the_one_that_was_meant() {
    check(
        "[collecter]\nx = 1",
        &["embedded default:1:2: collecter = {…}: unknown key; did you mean collector?"],
    );
    check(
        "[collector]\nbatch_row_max = 1",
        &[
            "embedded default:2:1: collector.batch_row_max = 1: unknown key; did you mean collector.batch_rows_max?",
        ],
    );
    check(
        "batch_timeout = \"1s\"",
        &[
            "embedded default:1:1: batch_timeout = \"1s\": unknown key; did you mean collector.batch_timeout?",
        ],
    );
    check(
        "[slots.a]\nmodule = \"m\"\nfuel_call = 1\n[slots.a.limits]\nfuel_cal = 2",
        &[
            "embedded default:3:1: slots.a.fuel_call = 1: unknown key; did you mean slots.a.limits.fuel_call?",
            "embedded default:5:1: slots.a.limits.fuel_cal = 2: unknown key; did you mean slots.a.limits.fuel_call?",
        ],
    );
    check(
        "[log]\nqwertz = true",
        &["embedded default:2:1: log.qwertz = true: unknown key; there are level, format"],
    );
    check(
        "zzz.yyy = 1",
        &[
            "embedded default:1:1: zzz = {…}: unknown key; there are collector, bus, sandbox, trust, supervision, swap, dead_letters, metrics, log, sources, redact, slots, rules, admission, trigger, exception, chains, chain, sinks",
        ],
    );
}

#[test]
fn a_table_where_a_value_belongs_and_the_reverse_are_told() {
    check(
        "bus = 3",
        &[
            "embedded default:1:7: bus = 3: not a table; expected a table with kind, socket, group, connections_max, heartbeat, queue_batches_max, queue_bytes_max, bytes_max, ring_bytes_max, ring_age_max, access",
        ],
    );
    check(
        "slots = []",
        &[
            "embedded default:1:9: slots = []: not a table; expected tables [slots.NAME], or [[slots]] each with a name",
        ],
    );
    check(
        "[bus.kind]\na = 1",
        &[
            "embedded default:1:1: bus.kind = {…}: a table is the wrong type; expected one of local, broker, client, none",
        ],
    );
}

#[test]
fn names_that_cannot_be_topic_tokens_are_told() {
    check(
        "[slots.\"a.b\"]\nmodule = \"m\"",
        &[
            "embedded default:1:8: slots: the name \"a.b\" can't be a token of a topic; expected 1 to 64 bytes of A-Z, a-z, 0-9, `_` and `-`",
        ],
    );
    check(
        "sinks.\"\".kind = \"json\"",
        &[
            "embedded default:1:7: sinks: the name \"\" can't be a token of a topic; expected 1 to 64 bytes of A-Z, a-z, 0-9, `_` and `-`",
        ],
    );
}

#[test]
fn what_must_be_set_and_is_not_is_told_where_its_table_begins() {
    check(
        "[slots.a]\n[sources.b]\n[sinks.c]\nenabled = false",
        &[
            "embedded default:2:10: sources.b.kind: missing; expected one of process, network, filesystem, performance, inventory, binary-hash, process-details, replay, for example kind = \"process\"",
            "embedded default:1:8: slots.a.module: missing; expected `builtin:NAME` or the path of a component, for example module = \"builtin:NAME\"",
            "embedded default:3:8: sinks.c.kind: missing; expected one of terminal, json, recording, for example kind = \"terminal\"",
        ],
    );
    check(
        "sources.r.kind = \"replay\"\nsinks.r.kind = \"recording\"",
        &[
            "embedded default:1:9: sources.r.path: missing; expected a path, for example path = \"/var/lib/weir/events.arrow\"",
            "embedded default:2:7: sinks.r.path: missing; expected a path, for example path = \"/var/log/weir/findings.json\"",
        ],
    );
}

#[test]
fn syntax_errors_have_line_and_column() {
    let check = |text: &str, begins: &str| {
        let errors = load_text(text).expect_err("not TOML").to_string();
        let first = errors.lines().next().unwrap();
        assert!(first.starts_with(begins), "{text}: {errors}");
    };
    check("a = 1\nb = = 2\n", "embedded default:2:5: not TOML: ");
    check("[collector\n", "embedded default:1:11: not TOML: ");
    check(
        "[bus]\nkind = \"local\"\nkind = \"none\"\n",
        "embedded default:3:1: not TOML: duplicate key",
    );
    check("x = \"é\n", "embedded default:1:");
}

#[test]
fn every_error_of_every_layer_is_told_at_once() {
    let folder = Folder::new();
    let file = folder.write(
        "weir.toml",
        "[bus]\nkind = \"lokal\"\nqueue_batches_max = 0\n[nothing]\n",
    );
    let broken = folder.write("broken.toml", "a b\n");
    let request = LoadRequest {
        system: Some(broken),
        ..request(
            Some(&file),
            &[
                ("WEIR_COLLECTOR_BATCH_TIMEOUT", "1s"),
                ("WEIR_BUS__KINDS", "local"),
                ("WEIR_LOG", "debug"),
                ("WEIR_", ""),
                ("WEIR_QWERTZ", "1"),
            ],
            &[("bus.kindd", "none"), ("slots.a", "m"), ("x", "1")],
        )
    };
    let errors = load_as(&request, false).unwrap_err().to_string();
    let errors = errors.replace(&format!("{}/", folder.0.path().display()), "");
    let mut lines = errors.lines();
    let mut next = |expected: &str| {
        let line = lines.next().unwrap_or_default();
        assert!(
            line.starts_with(expected),
            "expected {expected}\nin {errors}"
        );
    };
    next("broken.toml:1:3: not TOML: ");
    next(
        "weir.toml:2:8: bus.kind = \"lokal\": unknown choice, did you mean \"local\"?; expected one of local, broker, client, none",
    );
    next(
        "weir.toml:3:21: bus.queue_batches_max = 0: below the range; expected an integer in 1..=65536",
    );
    next("weir.toml:4:2: nothing = {…}: unknown key; there are");
    next("environment WEIR_:  = \"\": unknown key; `weir config` shows all keys");
    next(
        "environment WEIR_BUS__KINDS: bus.kinds = \"local\": unknown key; did you mean WEIR_BUS__KIND?",
    );
    next(
        "environment WEIR_COLLECTOR_BATCH_TIMEOUT: collector_batch_timeout = \"1s\": unknown key; did you mean WEIR_COLLECTOR__BATCH_TIMEOUT?",
    );
    next(
        "environment WEIR_LOG: log = \"debug\": unknown key; there are WEIR_LOG__LEVEL, WEIR_LOG__FORMAT",
    );
    next("environment WEIR_QWERTZ: qwertz = \"1\": unknown key; `weir config` shows all keys");
    next("flag bus.kindd: bus.kindd = \"none\": unknown key; did you mean bus.kind?");
    next("flag slots.a: slots.a = \"m\": unknown key; ");
    next("flag x: x = \"1\": unknown key; ");
    assert_eq!(lines.next(), None, "{errors}");
}

#[test]
fn the_wrong_item_of_a_list_is_pointed_at() {
    check(
        "[sinks.t]\nkind = \"terminal\"\npatterns = [\"findings.>\", 5]",
        &[
            "embedded default:3:27: sinks.t.patterns = 5: an integer is the wrong type; expected a list of at most 256 texts, each a topic pattern such as `events.process.>`",
        ],
    );
    check(
        "[slots.s]\nmodule = \"m\"\ngrants = [\"log\", \"stat\"]",
        &[
            "embedded default:3:18: slots.s.grants = \"stat\": unknown choice, did you mean \"state\"?; expected a list of at most 4 texts, each one of log, state, metrics, inspect",
        ],
    );
    check(
        "[redact]\npatterns = [\"a\", '--pin=(\\d+']",
        &[
            "embedded default:2:18: redact.patterns = \"--pin=(\\d+\": no regular expression: unclosed group; expected a list of at most 64 texts, each a regular expression such as `--pin[= ](\\S+)`, at most 4096 bytes",
        ],
    );
    let error = one_error(load_text(
        "sinks.t = { kind = \"terminal\", patterns = [\"a.>.b\"] }",
    ));
    assert!(
        error.starts_with("embedded default:1:44: sinks.t.patterns = \"a.>.b\": "),
        "{error}"
    );
}

#[test]
fn texts_that_break_their_rule_are_told() {
    let check = |line: &str, problem: &str| {
        let error = one_error(load_text(&format!("slots.s.module = \"m\"\n{line}")));
        assert!(error.contains(problem), "{error}");
    };
    check("slots.s.sha256 = \"abc\"", "3 characters, not 64");
    check(
        &format!("slots.s.sha256 = \"{}\"", "xy".repeat(32)),
        "not hexadecimal",
    );
    check(
        "slots.t.module = \"builtin:\"",
        "no name of a built-in guest",
    );
    check("slots.t.module = \"\"", "empty");
    check(
        "log.level = \"inf\"",
        "no log level \"inf\", did you mean \"info\"?",
    );
    check("log.level = \"info,weir=loud\"", "no log level \"loud\"");
    check("log.level = \"\"", "no log level \"\"");
    check("collector.component_name = \"a b\"", "not a name");
    check("sandbox.cache_folder = \"\"", "empty");
    check("sandbox.cache_folder = \"a\\u0000\"", "zero byte");
    check("collector.batch_timeout = \"20 parsecs\"", "not a duration");
    check(
        "collector.batch_timeout = \"99999999999999999999s\"",
        "above the range",
    );
    check("collector.batch_bytes_max = \"1.5MiB\"", "not a size");
    check("collector.batch_bytes_max = -5", "below the range");
    check(
        "collector.batch_rows_max = 99999999999999999999999999999999999999999999",
        "above the range",
    );
    check(
        "collector.batch_rows_max = -99999999999999999999999999999999999999999999",
        "below the range",
    );
    check("collector.backpressure_threshold = nan", "not a number");
    check("slots.s.settings.rate = inf", "not a number that JSON has");
    check(
        "slots.s.settings.list = [1, [99999999999999999999]]",
        "more than 64 bits",
    );
}

#[test]
fn values_that_do_not_go_together_are_told_where_somebody_wrote_them() {
    let slot = "slots.s.module = \"m\"\n";
    check(
        &format!("{slot}slots.s.limits.state_bytes_max = \"32KiB\""),
        &[
            "embedded default:2:34: slots.s.limits.state_bytes_max = \"32KiB\": less than slots.s.limits.state_value_bytes_max = \"64KiB\"; raise it, or change the other",
        ],
    );
    check(
        &format!("{slot}slots.s.limits.memory_bytes_max = \"1GiB\""),
        &[
            "embedded default:2:35: slots.s.limits.memory_bytes_max = \"1GiB\": more than sandbox.guests_memory_bytes_max = \"512MiB\"; lower it, or change the other",
        ],
    );
    check(
        &format!("{slot}slots.rule.module = \"m\"\nslots.s.triggers = [\"rules\"]"),
        &[
            "embedded default:3:20: slots.s.triggers = \"rules\": there is no slot of this name, did you mean \"rule\"?",
        ],
    );
    check(
        "collector.sources_max = 1\nsources.a.kind = \"process\"\nsources.b.kind = \"process\"\nsources.c = { kind = \"process\", enabled = false }",
        &[
            "embedded default:1:25: collector.sources_max = 1: 4 sources (2 of them for the events of processes) are enabled; raise it, or switch some off with enabled = false",
        ],
    );
    check(
        "sources.p.kind = \"process\"\nsources.p-events.kind = \"network\"",
        &[
            "built-in default: sources.p.events = true: its source of events is called p-events, and so is another source; rename one, or set it to false",
        ],
    );
    let without =
        "sources.p = { kind = \"process\", events = false }\nsources.p-events.kind = \"network\"";
    assert!(load_text(without).is_ok());
    check(
        "[sources.f]\nkind = \"filesystem\"\ninclude = [\"/a/[\"]",
        &[
            "embedded default:3:12: sources.f.include = \"/a/[\": `/a/[` is no pattern for paths: unclosed character class; missing ']'; expected a list of at most 256 texts, each a pattern for paths such as `/home/*/.cache`",
            "embedded default:1:10: sources.f.folders: missing; expected a list of at most 64 texts, each a path, for example folders = [\"/etc\", \"/usr/bin\"]",
        ],
    );
    check(
        "sources.a = { kind = \"process\", pace = \"fast\" }\nsinks.t = { kind = \"terminal\", path = \"/a\" }",
        &[
            "embedded default:1:40: sources.a.pace = \"fast\": has no meaning for kind \"process\", only for replay; take it out",
            "embedded default:2:39: sinks.t.path = \"/a\": has no meaning for kind \"terminal\", only for json and recording; take it out",
        ],
    );
}

#[test]
fn a_config_file_that_must_be_there_and_is_not_readable_is_told() {
    let folder = Folder::new();
    let check = |path: PathBuf, problem: &str| {
        let request = LoadRequest {
            explicit: Some(path.clone()),
            ..LoadRequest::default()
        };
        let error = one_error(load_as(&request, false));
        assert!(error.starts_with(&path.display().to_string()), "{error}");
        assert!(error.contains(problem), "{error}");
    };
    check(folder.path("absent.toml"), "no such file");
    check(folder.0.path().to_path_buf(), "it is a folder");
    let latin = folder.path("latin.toml");
    std::fs::write(&latin, b"# caf\xe9\n").unwrap();
    check(latin, "byte 5 isn't UTF-8");
    let large = folder.write("large.toml", &"#".repeat((1 << 20) + 1));
    check(large, "more than 1048576 bytes");
}

#[test]
fn a_flood_of_errors_is_cut_and_counted() {
    let text: String = (0..1000).map(|n| format!("qwertz{n} = 1\n")).collect();
    let errors = load_text(&text).unwrap_err();
    assert_eq!(errors.errors().len(), ERRORS_MAX + 1);
    assert!(
        errors
            .to_string()
            .ends_with("and 800 more errors; correct these first")
    );
}

#[test]
fn what_a_config_says_cannot_break_or_colour_the_line_of_an_error() {
    let long = "x".repeat(10_000);
    let text =
        format!("\"a\\nb\\u001b[31m\" = \"c\\nd\"\nlog.format = \"{long}\"\n\"{long}\" = 1\n");
    let errors = load_text(&text).unwrap_err().to_string();
    assert_eq!(errors.lines().count(), 3, "{errors}");
    assert!(!errors.contains('\u{1b}'), "{errors}");
    assert!(errors.lines().all(|line| line.len() < 500), "{errors}");
}

#[test]
fn a_rule_of_access_is_for_one_user_or_one_group() {
    check(
        "[bus.access.a]\npublish = []",
        &[
            "embedded default:1:13: bus.access.a: missing; expected the user or group that the rule is for, for example group = \"observers\"",
        ],
    );
    check(
        "[bus.access.a]\nuser = \"u\"\ngroup = \"g\"",
        &[
            "embedded default:3:9: bus.access.a.group = \"g\": the rule is for user \"u\" already; a rule is for a user or for a group, write two",
        ],
    );
    check(
        "[bus.access.a]\nuser = \"u\"\npublisch = []",
        &[
            "embedded default:3:1: bus.access.a.publisch = []: unknown key; did you mean bus.access.a.publish?",
        ],
    );
}

#[test]
fn a_path_that_no_socket_can_have_is_told_with_its_length() {
    let path = format!("/{}", "s".repeat(107));
    let error = one_error(load_text(&format!("bus.socket = \"{path}\"")));
    for part in [
        "embedded default:1:14: bus.socket = \"/sss",
        ": 108 bytes, and the path of a socket has at most 107; set a shorter one",
    ] {
        assert!(error.contains(part), "{error}");
    }
    load_text(&format!(
        "bus.socket = \"{}\"",
        &path[1..].replacen('s', "/", 1)
    ))
    .unwrap();
}

#[test]
fn an_array_of_tables_is_told_what_is_wrong_with_its_names() {
    check(
        "[[slots]]\nmodule = \"m\"\n[[slots]]\nname = 7\n[[slots]]\nname = \"a b\"\n",
        &[
            "embedded default:1:1: slots.name: missing; expected a name of A-Z, a-z, 0-9, `_` and `-`, at most 64 bytes, for example name = \"NAME\"",
            "embedded default:4:8: slots.name = 7: not a text; expected a name of A-Z, a-z, 0-9, `_` and `-`, at most 64 bytes",
            "embedded default:6:8: slots: the name \"a b\" can't be a token of a topic; expected 1 to 64 bytes of A-Z, a-z, 0-9, `_` and `-`",
        ],
    );
    check(
        "[[slots]]\nname = \"a\"\nmodule = \"m\"\n[[slots]]\nname = \"a\"\n",
        &[
            "embedded default:5:8: slots.name = \"a\": there is another of this name at embedded default:2:8; give each its own",
        ],
    );
    check(
        "sources = [{ name = \"a\", kind = \"process\", intervall = \"1s\" }, 5]",
        &[
            "embedded default:1:44: sources.a.intervall = \"1s\": unknown key; did you mean sources.a.interval?",
            "embedded default:1:64: sources = 5: not a table; expected tables [sources.NAME], or [[sources]] each with a name",
        ],
    );
    check(
        "[[slots]]\nname = \"a\"\n",
        &[
            "embedded default:2:8: slots.a.module: missing; expected `builtin:NAME` or the path of a component, for example module = \"builtin:NAME\"",
        ],
    );
    check(
        "[[bus]]\nkind = \"none\"\n",
        &[
            "embedded default:1:1: bus = [{…}]: not a table; expected a table with kind, socket, group, connections_max, heartbeat, queue_batches_max, queue_bytes_max, bytes_max, ring_bytes_max, ring_age_max, access",
        ],
    );
}

#[test]
fn chains_that_make_no_plan_are_told_at_the_key_to_change() {
    let slots = "slots.a.module = \"m\"\nslots.b.module = \"m\"\nslots.off = { module = \"m\", enabled = false }\nsources.p.kind = \"process\"\n";
    let check = |chain: &str, expected: &[&str]| check(&format!("{slots}{chain}"), expected);
    check(
        "[chain.c]\ntimeout = \"1s\"",
        &[
            "embedded default:5:8: chain.c = {…}: chain `c` has no stages; add a table [chain.c.stages.NAME], or take the chain out",
        ],
    );
    check(
        "[[chain]]\nname = \"c\"\n[[chain.stages]]\nname = \"a\"\nafter = [\"b\"]\n[[chain.stages]]\nname = \"b\"\nafter = [\"a\"]",
        &[
            "embedded default:9:9: chain.c.stages.a.after = \"b\": chain `c`: stages wait for each other, and none could begin: a → b → a; take one out of `after`",
        ],
    );
    check(
        "[chain.c.stages.a]\nafter = [\"bb\"]\n[chain.c.stages.b]\n[chain.d.stages.a]\nafter = [\"a\"]",
        &[
            "embedded default:6:9: chain.c.stages.a.after = \"bb\": chain `c`: stage `a` waits for `bb`, and there is no such stage, did you mean `b`?",
            "embedded default:9:9: chain.d.stages.a.after = \"a\": chain `d`: stage `a` waits for itself; take it out of `after`",
        ],
    );
    check(
        "[chain.c.stages]\nx.slot = \"aa\"\ny.slot = \"off\"\nz.source = \"p\"\nzz = { slot = \"a\", source = \"p\" }\n[chain.c.stages.q]\n",
        &[
            "embedded default:10:17: chain.c.stages.q: missing; expected the slot or source that does it, as none that is switched on and answers requests is called `q`, for example slot = \"NAME\"",
            "embedded default:6:10: chain.c.stages.x.slot = \"aa\": there is no slot of this name, did you mean \"a\"?",
            "embedded default:7:10: chain.c.stages.y.slot = \"off\": the slot is switched off; switch it on, or the chain off with enabled = false",
            "embedded default:8:12: chain.c.stages.z.source = \"p\": a source of kind \"process\" answers no requests; those of kind binary-hash and process-details do",
            "embedded default:9:29: chain.c.stages.zz.source = \"p\": slot \"a\" does the stage already; a stage has a slot or a source, make two stages of it",
        ],
    );
    check(
        "[chain.c.stages.a]\nafterr = []\n[chain.c.stage.a]\n[chain.\"x y\"]\n[chain.c.stages.\"q.\"]\n",
        &[
            "embedded default:6:1: chain.c.stages.a.afterr = []: unknown key; did you mean chain.c.stages.a.after?",
            "embedded default:9:17: chain.c.stages: the name \"q.\" can't be a token of a topic; expected 1 to 64 bytes of A-Z, a-z, 0-9, `_` and `-`",
            "embedded default:7:10: chain.c.stage = {…}: unknown key; did you mean chain.c.stages?",
            "embedded default:8:8: chain: the name \"x y\" can't be a token of a topic; expected 1 to 64 bytes of A-Z, a-z, 0-9, `_` and `-`",
        ],
    );
    // What is switched off may be anything.
    load_text(&format!(
        "{slots}[chain.c]\nenabled = false\n[chain.c.stages.q]"
    ))
    .unwrap();
}
