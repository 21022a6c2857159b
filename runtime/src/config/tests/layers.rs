//! Layers lie over each other in order, and every value knows where it comes from.

use super::*;
use std::time::Duration;

const EMBEDDED: &str = "[collector]\nbatch_rows_max = 1\n[slots.a]\nmodule = \"builtin:a\"\n";

/// Loads with the layers from the weakest up to `highest`, each of which sets the same key; answers value and origin.
fn up_to(highest: usize) -> (usize, String, Layer) {
    let folder = Folder::new();
    let file = |layer: usize, name: &str| {
        (highest >= layer).then(|| {
            folder.write(
                name,
                &format!("\n[collector]\n  batch_rows_max = {layer}\n"),
            )
        })
    };
    let request = LoadRequest {
        system: Some(file(2, "system.toml").unwrap_or(folder.path("none"))),
        user: file(3, "user.toml"),
        explicit: file(4, "explicit.toml"),
        environment: (highest >= 5)
            .then(|| ("WEIR_COLLECTOR__BATCH_ROWS_MAX".to_owned(), "5".to_owned()))
            .into_iter()
            .collect(),
        flags: (highest >= 6)
            .then(|| ("collector.batch_rows_max".to_owned(), "6".to_owned()))
            .into_iter()
            .collect(),
        embedded_default: if highest >= 1 { EMBEDDED } else { "" },
        ..LoadRequest::default()
    };
    let loaded = load_as(&request, false).unwrap();
    let origin = loaded
        .provenance
        .origin("collector.batch_rows_max")
        .unwrap();
    let shown = origin.to_string();
    let shown = shown.replace(&format!("{}/", folder.0.path().display()), "");
    (loaded.config.collector.batch_rows_max, shown, origin.layer)
}

#[test]
fn a_later_layer_overrides_an_earlier_one_and_is_named_as_origin() {
    let check = |highest, value, origin: &str, layer| {
        assert_eq!(up_to(highest), (value, origin.to_owned(), layer));
    };
    check(0, 1000, "built-in default", Layer::BuiltIn);
    check(1, 1, "embedded default:2:18", Layer::Embedded);
    check(2, 2, "system.toml:3:20", Layer::System);
    check(3, 3, "user.toml:3:20", Layer::User);
    check(4, 4, "explicit.toml:3:20", Layer::Explicit);
    check(
        5,
        5,
        "environment WEIR_COLLECTOR__BATCH_ROWS_MAX",
        Layer::Environment,
    );
    check(6, 6, "flag collector.batch_rows_max", Layer::Flag);
}

#[test]
fn the_embedded_default_holds_only_where_there_is_no_file() {
    let folder = Folder::new();
    let file = folder.write("weir.toml", "");
    let with = |user: Option<&Path>| {
        let request = LoadRequest {
            embedded_default: EMBEDDED,
            ..request(user, &[], &[])
        };
        load_as(&request, false).unwrap()
    };
    assert!(with(None).config.slots.contains_key("a"));
    assert!(
        with(Some(&folder.path("absent")))
            .config
            .slots
            .contains_key("a")
    );
    assert!(with(Some(&file)).config.slots.is_empty());
}

#[test]
fn the_files_to_watch_are_those_that_are_there_and_those_that_may_come() {
    let folder = Folder::new();
    let explicit = folder.write("explicit.toml", "");
    let request = LoadRequest {
        system: Some(folder.path("system.toml")),
        user: Some(folder.path("user.toml")),
        explicit: Some(explicit.clone()),
        ..LoadRequest::default()
    };
    let files = load_as(&request, false).unwrap().files;
    assert_eq!(
        files,
        [
            folder.path("system.toml"),
            folder.path("user.toml"),
            explicit
        ]
    );
}

#[test]
fn tables_merge_by_name_and_then_by_key() {
    let folder = Folder::new();
    let system = folder.write(
        "system.toml",
        "[slots.a]\nmodule = \"builtin:a\"\norder = 7\n\
         settings = { deep = { one = 1, two = 2 }, list = [1, 2], kept = {} }\n\
         [slots.b]\nmodule = \"builtin:b\"\n",
    );
    let user = folder.write(
        "user.toml",
        "[slots.a]\norder = 8\nsettings = { deep = { two = 3 }, list = [4] }\n[slots.a.limits]\nfuel_row = 9\n",
    );
    let request = LoadRequest {
        system: Some(system.clone()),
        ..request(
            Some(&user),
            &[("WEIR_SLOTS__A__SETTINGS__DEEP__THREE", "\"x\"")],
            &[("slots.a.settings.kept", "plain text")],
        )
    };
    let loaded = load_as(&request, false).unwrap();
    let slot = &loaded.config.slots["a"];
    assert_eq!(slot.order, 8);
    assert_eq!(slot.module, Module::BuiltIn("a".into()));
    assert_eq!(slot.limits.fuel_row, 9);
    assert_eq!(
        slot.settings,
        serde_json::json!({ "deep": { "one": 1, "two": 3, "three": "x" }, "list": [4], "kept": "plain text" })
    );
    assert_eq!(loaded.config.slots["b"].settings, serde_json::json!({}));
    let origin = |key| loaded.provenance.origin(key).unwrap().to_string();
    assert_eq!(
        origin("slots.a.settings.deep.one"),
        format!("{}:4:29", system.display())
    );
    assert_eq!(
        origin("slots.a.settings.deep.two"),
        format!("{}:3:29", user.display())
    );
    assert_eq!(
        origin("slots.a.settings.kept"),
        "flag slots.a.settings.kept"
    );
}

#[test]
fn what_is_switched_off_is_not_in_the_config_but_in_its_provenance() {
    let text = "sources.p.kind = \"process\"\nslots.a.module = \"builtin:a\"\nslots.b.module = \"builtin:b\"\nsinks.t.kind = \"terminal\"\n";
    let request = LoadRequest {
        embedded_default: text,
        ..request(
            None,
            &[
                ("WEIR_SLOTS__A__ENABLED", "false"),
                ("WEIR_SOURCES__P__ENABLED", "false"),
            ],
            &[("sinks.t.enabled", "false")],
        )
    };
    let loaded = load_as(&request, false).unwrap();
    assert_eq!(loaded.config.slots.keys().collect::<Vec<_>>(), ["b"]);
    assert!(loaded.config.sources.is_empty());
    assert!(loaded.config.sinks.is_empty());
    assert_eq!(
        loaded.provenance.value("slots.a.enabled"),
        Some(&Value::Switch(false))
    );
}

#[test]
fn a_variable_means_the_entry_of_which_it_is_the_upper_case() {
    let text = "slots.Two-Words.module = \"m\"\n";
    let load = |variable| {
        let request = LoadRequest {
            embedded_default: text,
            ..request(None, &[(variable, "7")], &[])
        };
        load_as(&request, false)
    };
    let loaded = load("WEIR_SLOTS__TWO_WORDS__ORDER").unwrap();
    assert_eq!(loaded.config.slots["Two-Words"].order, 7);
    assert_eq!(loaded.config.slots.len(), 1);
    // Another name is a new slot, which lacks its module.
    let error = one_error(load("WEIR_SLOTS__OTHER__ORDER"));
    assert!(
        error.starts_with("environment WEIR_SLOTS__OTHER__ORDER: slots.other.module: missing"),
        "{error}"
    );
}

#[test]
fn values_are_written_in_variables_as_people_would() {
    let load = |name, value| {
        load_as(
            &request(None, &[("WEIR_SINKS__T__KIND", "json"), (name, value)], &[]),
            false,
        )
        .unwrap()
        .config
    };
    assert_eq!(
        load("WEIR_COLLECTOR__BATCH_TIMEOUT", "35ms")
            .collector
            .batch_timeout,
        Duration::from_millis(35)
    );
    assert_eq!(
        load("WEIR_COLLECTOR__BATCH_BYTES_MAX", "2 MiB")
            .collector
            .batch_bytes_max,
        2 << 20
    );
    assert_eq!(
        load("WEIR_COLLECTOR__BATCH_BYTES_MAX", "8192")
            .collector
            .batch_bytes_max,
        8192
    );
    assert_eq!(
        load("WEIR_COLLECTOR__BACKPRESSURE_THRESHOLD", "1")
            .collector
            .backpressure_threshold
            .to_bits(),
        1f64.to_bits()
    );
    assert!(
        !load("WEIR_COLLECTOR__TELEMETRY", "false")
            .collector
            .telemetry
    );
    assert_eq!(load("WEIR_BUS__KIND", "none").bus.kind, BusKind::None);
    for list in ["findings.>,events.>", "[\"findings.>\", \"events.>\"]"] {
        let config = load("WEIR_SINKS__T__PATTERNS", list);
        let patterns: Vec<&str> = config.sinks["t"]
            .patterns()
            .iter()
            .map(|pattern| pattern.as_str())
            .collect();
        assert_eq!(patterns, ["findings.>", "events.>"]);
    }
}

#[test]
fn variables_that_are_not_ours_are_left_alone() {
    let environment = [("PATH", "/bin"), ("WEIRD", "1"), ("weir_bus__kind", "x")];
    assert!(load_as(&request(None, &environment, &[]), false).is_ok());
}

#[test]
fn relative_paths_begin_at_the_folder_of_their_file() {
    let folder = Folder::new();
    let file = folder.write(
        "weir.toml",
        "[sandbox]\nguest_folders = [\"guests\", \"/abs\"]\ncache_folder = \"cache\"\n",
    );
    let config = load_as(&request(Some(&file), &[], &[]), false)
        .unwrap()
        .config;
    assert_eq!(
        config.sandbox.guest_folders,
        [folder.path("guests"), PathBuf::from("/abs")]
    );
    assert_eq!(config.sandbox.cache_folder, folder.path("cache"));
}

#[test]
fn default_folders_are_those_of_who_runs_it() {
    let check =
        |environment: &[(&str, &str)], as_root, cache: &str, state: &str, guests: &[&str]| {
            let config = load_as(&request(None, environment, &[]), as_root)
                .unwrap()
                .config
                .sandbox;
            assert_eq!(config.cache_folder, Path::new(cache));
            assert_eq!(config.state_folder, Path::new(state));
            assert_eq!(
                config.guest_folders,
                guests.iter().map(PathBuf::from).collect::<Vec<_>>()
            );
        };
    let home = ("HOME", "/home/a");
    check(
        &[home],
        false,
        "/home/a/.cache/weir",
        "/home/a/.local/state/weir",
        &["/etc/weir/guests", "/home/a/.config/weir/guests"],
    );
    check(
        &[
            home,
            ("XDG_CACHE_HOME", "/c"),
            ("XDG_STATE_HOME", "/s"),
            ("XDG_CONFIG_HOME", "/f"),
        ],
        false,
        "/c/weir",
        "/s/weir",
        &["/etc/weir/guests", "/f/weir/guests"],
    );
    check(
        &[home, ("XDG_CACHE_HOME", "relative")],
        false,
        "/home/a/.cache/weir",
        "/home/a/.local/state/weir",
        &["/etc/weir/guests", "/home/a/.config/weir/guests"],
    );
    check(
        &[home],
        true,
        "/var/cache/weir",
        "/var/lib/weir",
        &["/etc/weir/guests"],
    );
    check(
        &[],
        false,
        "/var/cache/weir",
        "/var/lib/weir",
        &["/etc/weir/guests"],
    );
}

#[test]
fn standard_paths_follow_the_environment() {
    let check = |environment: &[(&str, &str)], user: Option<&str>| {
        let paths = standard_paths(&request(None, environment, &[]).environment);
        assert_eq!(paths.system, Path::new("/etc/weir/weir.toml"));
        assert_eq!(paths.user, user.map(PathBuf::from));
    };
    check(
        &[("HOME", "/home/a")],
        Some("/home/a/.config/weir/weir.toml"),
    );
    check(
        &[("HOME", "/home/a"), ("XDG_CONFIG_HOME", "/x")],
        Some("/x/weir/weir.toml"),
    );
    check(&[], None);
}

#[test]
fn a_slot_without_queue_bounds_has_those_of_the_bus() {
    let text =
        "bus.queue_batches_max = 7\nslots.a.module = \"m\"\nslots.a.queue_bytes_max = \"1MiB\"\n";
    let loaded = load_text(text).unwrap();
    let slot = &loaded.config.slots["a"];
    assert_eq!((slot.queue_batches_max, slot.queue_bytes_max), (7, 1 << 20));
    assert_eq!(
        loaded
            .provenance
            .origin("slots.a.queue_batches_max")
            .unwrap()
            .to_string(),
        "embedded default:1:25"
    );
}

#[test]
fn only_slots_change_without_a_restart() {
    let base = "collector.batch_timeout = \"20ms\"\nsources.p.kind = \"process\"\nsinks.t.kind = \"terminal\"\nslots.a.module = \"m\"\n";
    let check = |changed: &str, expected: &[&str]| {
        let old = load_text(base).unwrap().config;
        let new = load_text(changed).unwrap().config;
        assert_eq!(old.changes_needing_restart(&new), expected, "{changed}");
        assert_eq!(new.changes_needing_restart(&old), expected, "{changed}");
    };
    check(base, &[]);
    check(&base.replace("20ms", "20000us"), &[]);
    check(
        &base.replace("slots.a.module = \"m\"", "slots.b.module = \"n\""),
        &[],
    );
    check(&format!("{base}chain.c.stages.x.slot = \"a\"\n"), &[]);
    check(&base.replace("20ms", "30ms"), &["collector.batch_timeout"]);
    check(
        &base.replace("sources.p", "sources.q"),
        &["sources.p", "sources.q"],
    );
    check(&base.replace("\"terminal\"", "\"json\""), &["sinks.t"]);
    check(
        &format!("{base}sources.p.interval = \"2s\"\nbus.kind = \"none\"\nslots.a.order = 1\n"),
        &["bus.kind", "sources.p.interval"],
    );
    check(
        &format!("{base}redact = {{ builtin = false, patterns = [\"x\"] }}\n"),
        &["redact.builtin", "redact.patterns"],
    );
}

#[test]
fn the_socket_is_where_its_user_may_write() {
    let check = |environment: &[(&str, &str)], as_root, expected: &str| {
        let config = load_as(&request(None, environment, &[]), as_root).unwrap();
        assert_eq!(config.config.bus.socket, Path::new(expected));
    };
    let runtime = [("XDG_RUNTIME_DIR", "/run/user/7")];
    check(&runtime, false, "/run/user/7/weir/weir.sock");
    check(&runtime, true, "/run/weir/weir.sock");
    let own = format!("/tmp/weir-{}/weir.sock", user_id());
    check(&[], false, &own);
}

#[test]
fn rules_of_access_are_named_and_merge_by_key() {
    let text = "[bus]\ngroup = \"weir\"\n[bus.access.ops-team]\ngroup = \"ops\"\nsubscribe = [\"events.>\"]\n";
    let folder = Folder::new();
    let file = folder.write("weir.toml", text);
    let publish = [("WEIR_BUS__ACCESS__OPS_TEAM__PUBLISH", "control.>")];
    let loaded = load_as(&request(Some(&file), &publish, &[]), false).unwrap();
    let bus = loaded.config.bus;
    assert_eq!(bus.group.as_deref(), Some("weir"));
    assert_eq!(bus.access.keys().collect::<Vec<_>>(), ["ops-team"]);
    let rule = &bus.access["ops-team"];
    assert_eq!((&rule.user, rule.group.as_deref()), (&None, Some("ops")));
    assert_eq!(rule.publish.len() + rule.subscribe.len(), 2);
    assert_eq!(load_text("").unwrap().config.bus.group, None);
}

#[test]
fn an_array_of_named_tables_says_the_same_as_tables_by_name() {
    let named = "[slots.a]\nmodule = \"m\"\nlimits.cpu_call = \"250ms\"\n[slots.b]\nmodule = \"n\"\n[bus.access.ops]\nuser = \"u\"\n";
    let listed = "[[slots]]\nname = \"a\"\nmodule = \"m\"\nlimits.cpu_call = \"250ms\"\n[[slots]]\nmodule = \"n\"\nname = \"b\"\n[[bus.access]]\nname = \"ops\"\nuser = \"u\"\n";
    let (named, listed) = (load_text(named).unwrap(), load_text(listed).unwrap());
    assert_eq!(named.config, listed.config);
    let origin = |loaded: &Loaded| loaded.provenance.origin("slots.b.module").unwrap().position;
    assert_eq!(
        (origin(&named), origin(&listed)),
        (Some((5, 10)), Some((6, 10)))
    );
}

#[test]
fn arrays_of_tables_merge_over_weaker_layers_by_name() {
    let folder = Folder::new();
    let user = folder.write("weir.toml", "[[slots]]\nname = \"my-slot\"\norder = 7\n");
    let system = folder.write("system.toml", "[slots.my-slot]\nmodule = \"m\"\n");
    let request = LoadRequest {
        system: Some(system),
        ..request(Some(&user), &[("WEIR_SLOTS__MY_SLOT__ORDER", "9")], &[])
    };
    let slots = load_as(&request, false).unwrap().config.slots;
    assert_eq!(slots.len(), 1);
    assert_eq!(slots["my-slot"].order, 9);
}

#[test]
fn chains_have_names_in_two_places_and_either_spelling() {
    let slots = "slots.hash.module = \"m\"\nslots.by-whom.module = \"m\"\n";
    let named = format!(
        "{slots}[chain.tmp]\ntimeout = \"5s\"\n[chain.tmp.stages.hash]\nretries = 2\n[chain.tmp.stages.who-did]\nslot = \"by-whom\"\nafter = [\"hash\"]\noptional = true\n[chain.off]\nenabled = false\n"
    );
    let listed = format!(
        "{slots}[[chain]]\nname = \"tmp\"\ntimeout = \"5s\"\n[[chain.stages]]\nname = \"hash\"\nretries = 2\n[[chain.stages]]\nname = \"who-did\"\nslot = \"by-whom\"\nafter = [\"hash\"]\noptional = true\n[[chain]]\nname = \"off\"\nenabled = false\n"
    );
    let (named, listed) = (load_text(&named).unwrap(), load_text(&listed).unwrap());
    assert_eq!(named.config, listed.config);
    let chain = &named.config.chain;
    assert_eq!(chain.keys().collect::<Vec<_>>(), ["tmp"]);
    let stages = &chain["tmp"].stages;
    assert_eq!((stages["hash"].retries, &stages["hash"].slot), (2, &None));
    assert_eq!(stages["who-did"].slot.as_deref(), Some("by-whom"));
    assert_eq!(stages["who-did"].after, ["hash"]);
    let shown = render(&named.provenance);
    let shown: Vec<&str> = shown
        .lines()
        .filter_map(|line| line.strip_prefix("chain.tmp.")?.split(" = ").next())
        .collect();
    let stage = |name: &str, keys: [&str; 5]| keys.map(|key| format!("stages.{name}.{key}"));
    let keys = ["after", "optional", "timeout", "retries", "retry_pause"];
    let mut expected = vec!["enabled".to_owned(), "timeout".to_owned()];
    expected.extend(stage("hash", keys));
    expected.push("stages.who-did.slot".to_owned());
    expected.extend(stage("who-did", keys));
    assert_eq!(shown, expected);
}

#[test]
fn a_variable_reaches_a_stage_of_a_chain_and_a_chain_has_the_timeout_of_all() {
    let folder = Folder::new();
    let file = folder.write(
        "weir.toml",
        "[slots.Get-It]\nmodule = \"m\"\n[chains]\nrequest_timeout = \"7s\"\n[chain.My-Chain.stages.Get-It]\n",
    );
    let request = request(
        Some(&file),
        &[("WEIR_CHAIN__MY_CHAIN__STAGES__GET_IT__RETRIES", "3")],
        &[("chain.My-Chain.stages.Get-It.optional", "true")],
    );
    let config = load_as(&request, false).unwrap().config;
    let chain = &config.chain["My-Chain"];
    assert_eq!(chain.timeout, Duration::from_secs(7));
    let stage = &chain.stages["Get-It"];
    assert_eq!(
        (chain.stages.len(), stage.retries, stage.optional),
        (1, 3, true)
    );
}
