//! Whom the daemon trusts: with its modules by keys, and with its own config by owner and mode.

use super::faults::check;
use super::*;

#[test]
fn a_public_key_that_is_none_is_told_with_what_is_wrong() {
    for (digits, problem) in [
        ("ab".to_owned(), "not 64 hexadecimal digits"),
        (
            format!("02{}", "0".repeat(62)),
            "no public key of ed25519 has these digits",
        ),
        (format!("01{}", "0".repeat(62)), "a weak key"),
    ] {
        let text = format!("trust.keys.a.ed25519 = \"{digits}\"");
        let error = one_error(load_text(&text));
        let begin =
            format!("embedded default:1:24: trust.keys.a.ed25519 = \"{digits}\": {problem}");
        assert!(error.starts_with(&begin), "{error}");
    }
}

#[test]
fn whom_to_trust_can_change_in_a_running_daemon() {
    let config = |text: &str| load_text(text).unwrap().config;
    let (old, new) = (config(""), config("trust.required = true"));
    assert_ne!(old, new);
    assert_eq!(old.changes_needing_restart(&new), Vec::<String>::new());
}

#[test]
fn a_signer_that_is_no_key_of_trust_is_told() {
    const KEY: &str = "trust.keys.deploy.ed25519 = \"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c\"\n";
    check(
        &format!(
            "{KEY}slots.s = {{ module = \"m\", signed_by = [\"deploy\", \"deplay\", \"x\"] }}"
        ),
        &[
            "embedded default:2:39: slots.s.signed_by = \"deplay\": there is no key of this name in trust.keys, did you mean \"deploy\"?",
            "embedded default:2:39: slots.s.signed_by = \"x\": there is no key of this name in trust.keys; add it with its public key",
        ],
    );
    check(
        &format!("{KEY}slots.s = {{ module = \"builtin:lineage\", signed_by = [\"deploy\"] }}"),
        &[
            "embedded default:2:53: slots.s.signed_by = \"deploy\": a built-in guest is part of the program, and nobody signs it; take it out",
        ],
    );
    check(
        "[trust.keys.deploy]\n[trust.keys.\"a b\"]",
        &[
            "embedded default:2:13: trust.keys: the name \"a b\" can't be a token of a topic; expected 1 to 64 bytes of A-Z, a-z, 0-9, `_` and `-`",
            "embedded default:1:13: trust.keys.deploy.ed25519: missing; expected a public key of ed25519 in 64 hexadecimal digits, as `weir guest keygen` prints it, for example ed25519 = \"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"",
        ],
    );
}

#[cfg(unix)]
#[test]
fn a_pipe_in_place_of_a_config_is_told_and_not_waited_for() {
    let folder = Folder::new();
    let pipe = folder.path("weir.toml");
    let mode = rustix::fs::Mode::from_bits_truncate(0o600);
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, fifo, mode, 0).unwrap();
    let error = one_error(load_as(&request(Some(&pipe), &[], &[]), false));
    assert!(error.contains("it is a pipe or a device"), "{error}");
}

#[cfg(unix)]
#[test]
fn root_refuses_a_config_that_others_can_write() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let file = folder.write("weir.toml", "");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    let error = one_error(load_as(&request(Some(&file), &[], &[]), true));
    assert!(error.contains("mode 0666"), "{error}");
    assert!(error.starts_with(&file.display().to_string()), "{error}");
    assert!(load_as(&request(Some(&file), &[], &[]), false).is_ok());
}
