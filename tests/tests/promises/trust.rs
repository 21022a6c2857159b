//! Trust in modules, from the key to the daemon: only what is signed by a key of the config runs, and every
//! refusal changes nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::Value;
use weir_tests::author::Done;
use weir_tests::build::hostile_module;
use weir_tests::daemon::Home;

/// Somebody who signs guests, and a daemon's home where they lie.
struct Signer {
    home: Home,
    /// The lines of the config that `keygen` prints.
    trusted: String,
}

impl Signer {
    /// Ann's key, and the same guest twice: `signed.wasm`, which she signs, and `unsigned.wasm`.
    fn new() -> Self {
        let home = Home::new();
        let guest = fs::read(hostile_module("filter")).expect("a guest");
        home.write("signed.wasm", &guest);
        home.write("unsigned.wasm", &guest);
        let signer = Self {
            trusted: String::new(),
            home,
        };
        let made = signer.weir(&["guest", "keygen", "--name", "ann", "--out", "ann.key"]);
        let trusted = made.ended(0).to_owned();
        signer
            .weir(&["guest", "sign", "signed.wasm", "--key", "ann.key"])
            .ended(0);
        Self { trusted, ..signer }
    }

    /// Runs `weir` in the home.
    fn weir(&self, arguments: &[&str]) -> Done {
        let mut command = self.home.command(arguments);
        let folder = self.home.path("");
        command.current_dir(folder).output().expect("weir").into()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path(name)
    }

    /// The public key that `keygen` printed.
    fn public(&self) -> &str {
        let mut quoted = self.trusted.split('"');
        quoted.nth(1).expect("a key in the config's lines")
    }

    /// A config whose one guest is that module, with more keys of its slot.
    fn config(&self, trust: &str, module: &str, more: &str) -> String {
        format!(
            "[trust]\n{trust}\n{}\n[sources.process]\nkind = \"process\"\ninterval = \"50ms\"\nevents = false\n\
             [sinks.all]\nkind = \"json\"\npatterns = [\"events.>\"]\n\
             [slots.keeps]\nsettings = {{ do = \"answer\" }}\nmodule = \"{module}\"\n{more}\n",
            self.trusted
        )
    }

    /// What a running daemon says of its one guest: the module, and who signed it.
    fn in_force(&self) -> (Value, Value) {
        let told = self.weir(&["guests", "--json"]);
        let told: Value = serde_json::from_str(told.ended(0)).expect("JSON");
        let guest = &told["guests"][0];
        (guest["module"].clone(), guest["signed_by"].clone())
    }
}

/// One line on stderr that says these.
#[track_caller]
fn refused(done: &Done, code: i32, parts: &[&str]) {
    done.ended(code);
    assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
    for part in parts {
        assert!(done.stderr.contains(part), "no `{part}` in {}", done.stderr);
    }
}

const REQUIRED: &str = "required = true";
const FREE: &str = "required = false";

#[test]
fn only_signed_guests_start_and_each_refusal_has_its_place_key_and_remedy() {
    let signer = Signer::new();
    let other = signer.weir(&["guest", "keygen", "--name", "bob", "--out", "bob.key"]);
    let both = signer.trusted.clone() + other.ended(0);
    fs::copy(signer.path("signed.wasm"), signer.path("changed.wasm")).expect("a copy");
    let signature = fs::read(signer.path("signed.wasm.sig")).expect("a signature");
    signer.home.write("changed.wasm.sig", &signature);
    let mut bytes = fs::read(signer.path("changed.wasm")).expect("a module");
    *bytes.last_mut().expect("bytes") ^= 1;
    fs::write(signer.path("changed.wasm"), bytes).expect("written");
    let zeros = format!("sha256 = \"{}\"", "0".repeat(64));
    let with_both = |text: String| text.replace(&signer.trusted, &both);

    let cases: [(String, &[&str]); 7] = [
        (
            signer.config(REQUIRED, "unsigned.wasm", ""),
            &[
                "weir.toml:",
                "slots.keeps.module: unsigned.wasm has no signature, and trust.required wants one by a key of trust.keys (ann)",
                "weir guest sign",
                "unsigned.wasm.sig",
            ],
        ),
        (
            signer.config(FREE, "unsigned.wasm", "signed_by = [\"ann\"]"),
            &[
                "slots.keeps.module: unsigned.wasm has no signature",
                "signed_by wants one by ann",
            ],
        ),
        (
            with_both(signer.config(REQUIRED, "signed.wasm", "signed_by = [\"bob\"]")),
            &[
                "slots.keeps.signed_by: signed.wasm is signed by ann, and the slot's signed_by wants bob",
            ],
        ),
        (
            signer.config(FREE, "signed.wasm", "signed_by = [\"bob\"]"),
            &["slots.keeps.signed_by = \"bob\"", "trust.keys"],
        ),
        (
            // Not required, and refused all the same.
            signer.config(FREE, "changed.wasm", ""),
            &["slots.keeps.module: changed.wasm isn't what ann signed"],
        ),
        (
            signer.config(REQUIRED, "signed.wasm", &zeros),
            &["slots.keeps.sha256: signed.wasm has the SHA-256"],
        ),
        (
            signer
                .config(REQUIRED, "signed.wasm", "")
                .replace("keys.ann", "keys.eve"),
            &[
                "slots.keeps.module: signed.wasm is signed by ann, whose key",
                "(eve)",
            ],
        ),
    ];
    for (text, expected) in cases {
        signer.home.write("weir.toml", &text);
        for verb in ["check", "run"] {
            refused(&signer.weir(&[verb, "--config", "weir.toml"]), 2, expected);
        }
    }
    for trust in [REQUIRED, FREE] {
        let text = signer.config(trust, "signed.wasm", "signed_by = [\"ann\"]");
        signer.home.write("weir.toml", text);
        let checked = signer.weir(&["check", "--config", "weir.toml"]);
        assert!(
            checked.ended(0).contains(", signed by ann\n"),
            "{}",
            checked.stdout
        );
    }
    let text = signer.config(FREE, "unsigned.wasm", "");
    signer.home.write("weir.toml", text);
    let checked = signer.weir(&["check", "--config", "weir.toml"]);
    assert!(
        !checked.ended(0).contains("signed by"),
        "{}",
        checked.stdout
    );
}

#[test]
fn a_reload_to_a_guest_that_is_not_trusted_changes_nothing() {
    let signer = Signer::new();
    let good = signer.config(REQUIRED, "signed.wasm", "");
    let path = signer.home.write("weir.toml", &good);
    let mut daemon = signer
        .home
        .start(&["run", "--config", &path.to_string_lossy()]);
    daemon.wait_for("a row", |line| line["type"] == "event");
    let by_ann = (Value::from("signed.wasm"), Value::from("ann"));
    assert_eq!(signer.in_force(), by_ann);
    let is_told = |line: &Value| line["type"] == "config";
    let wrong_pin = format!("sha256 = \"{}\"", "0".repeat(64));
    for (broken, expected) in [
        (
            signer.config(REQUIRED, "unsigned.wasm", ""),
            "slots.keeps.module: unsigned.wasm has no signature",
        ),
        (
            signer.config(REQUIRED, "signed.wasm", &wrong_pin),
            "slots.keeps.sha256: signed.wasm has the SHA-256",
        ),
        // Whoever isn't trusted any more isn't with what runs, either.
        (
            good.replace("keys.ann", "keys.eve"),
            "slots.keeps.module: signed.wasm is signed by ann, whose key",
        ),
    ] {
        signer.home.write("weir.toml", broken);
        let told = daemon.wait_for("a refusal", is_told);
        assert_eq!(told["taken"], false, "{told:#}");
        let message = told["message"].as_str().unwrap_or_default();
        assert!(message.contains(expected), "{expected}: {message}");
        assert_eq!(signer.in_force(), by_ann);
        daemon.wait_for("a row all the same", |line| line["type"] == "event");
    }
    // Where none is required, the other one may run: a change of trust needs no restart.
    signer
        .home
        .write("weir.toml", signer.config(FREE, "unsigned.wasm", ""));
    let told = daemon.wait_for("the change", is_told);
    assert_eq!(told["taken"], true, "{told:#}");
    assert_eq!(
        signer.in_force(),
        (Value::from("unsigned.wasm"), Value::Null)
    );
    daemon.signal(Signal::TERM);
    let ended = daemon.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.summary()["slots"][0]["faults"], serde_json::json!({}));
}

fn mode_of(path: &Path) -> u32 {
    let metadata = fs::metadata(path).expect("a file");
    metadata.permissions().mode() & 0o7777
}

#[test]
fn a_secret_key_is_its_owners_alone_and_never_lost_by_a_slip() {
    let signer = Signer::new();
    let key = signer.path("ann.key");
    let before = fs::read(&key).expect("a key");
    assert_eq!(mode_of(&key), 0o600);
    let again = ["guest", "keygen", "--name", "ann", "--out", "ann.key"];
    refused(
        &signer.weir(&again),
        2,
        &["ann.key is there already", "--force"],
    );
    assert_eq!(fs::read(&key).expect("a key"), before);
    let forced = signer.weir(&[&again[..], &["--force"]].concat());
    assert_ne!(forced.ended(0), signer.trusted);
    assert_ne!(fs::read(&key).expect("a key"), before);
    assert_eq!(mode_of(&key), 0o600);
    // What is printed is the public half.
    let secret = String::from_utf8(before).expect("a text");
    let secret = secret.trim_end().rsplit(' ').next().expect("its digits");
    assert!(!signer.trusted.contains(secret));
    let name = signer.weir(&["guest", "keygen", "--name", "a b"]);
    refused(&name, 2, &["\"a b\" is no name of a key"]);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).expect("a mode");
    let open = signer.weir(&["guest", "sign", "signed.wasm", "--key", "ann.key"]);
    refused(&open, 2, &["ann.key (mode 0640)", "chmod 600"]);
}

#[test]
fn what_is_signed_is_verified_and_the_exit_code_says_how() {
    let signer = Signer::new();
    let key = signer.public().to_owned();
    signer
        .home
        .write("weir.toml", signer.config(FREE, "signed.wasm", ""));
    let verify = |more: &[&str]| {
        let all = [&["guest", "verify"][..], more].concat();
        signer.weir(&all)
    };
    let by_config = ["--config", "weir.toml"];
    for how in [&["--key", &key][..], &by_config] {
        let done = verify(&[&["signed.wasm"][..], how].concat());
        let expected = format!("signed.wasm is signed by ann ({key})\nsha256 ");
        assert!(done.ended(0).starts_with(&expected), "{}", done.stdout);
        let done = verify(&[&["unsigned.wasm"][..], how].concat());
        refused(
            &done,
            1,
            &["unsigned.wasm isn't signed: there is no unsigned.wasm.sig"],
        );
    }
    let inspected = |file: &str| {
        let done = signer.weir(&["guest", "inspect", file, "--json", "--config", "weir.toml"]);
        let told: Value = serde_json::from_str(done.ended(0)).expect("JSON");
        told["signature"]["state"].clone()
    };
    assert_eq!(inspected("signed.wasm"), "verified");
    assert_eq!(inspected("unsigned.wasm"), "none");
    assert_eq!(inspected("builtin:lineage"), "none");

    signer
        .weir(&["guest", "keygen", "--name", "bob", "--out", "bob.key"])
        .ended(0);
    let by_bob = ["guest", "sign", "unsigned.wasm", "--key", "bob.key"];
    signer.weir(&by_bob).ended(0);
    assert_eq!(mode_of(&signer.path("unsigned.wasm.sig")), 0o644);
    assert_eq!(inspected("unsigned.wasm"), "unknown");
    let done = verify(&["unsigned.wasm", "--key", &key]);
    refused(&done, 1, &["is signed by bob (", &key]);
    let done = verify(&[&["unsigned.wasm"][..], &by_config].concat());
    refused(&done, 1, &["is signed by bob (", "trust.keys doesn't have"]);
    // Bob in Ann's name.
    signer
        .weir(&[&by_bob[..], &["--name", "ann"]].concat())
        .ended(0);
    assert_eq!(inspected("unsigned.wasm"), "wrong");
    let done = verify(&[&["unsigned.wasm"][..], &by_config].concat());
    refused(&done, 1, &["is signed by ann with the key", &key]);

    signer.home.write("text.wasm", "no component");
    for (arguments, expected) in [
        (&["verify", "signed.wasm"][..], "no key to verify with"),
        (
            &["verify", "signed.wasm", "--key", "ab"],
            "--key ab: not 64",
        ),
        (&["verify", "none.wasm", "--key", &key], "none.wasm"),
        (&["sign", "text.wasm", "--key", "ann.key"], "it is a text"),
        (&["sign", "none.wasm", "--key", "ann.key"], "none.wasm"),
        (&["sign", "signed.wasm", "--key", "none.key"], "none.key"),
        (&["sign", "signed.wasm", "--key", "text.wasm"], "text.wasm"),
    ] {
        let all = [&["guest"][..], arguments].concat();
        refused(&signer.weir(&all), 2, &[expected]);
    }
}
