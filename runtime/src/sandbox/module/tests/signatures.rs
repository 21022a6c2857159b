//! A module's signature: found beside it, read by the same handle, and refused where it isn't trusted itself.

use super::*;
use crate::trust::{SecretKey, TrustError};

/// A disk on which one key is known, and signatures are asked for.
struct Signed {
    disk: Disk,
    key: SecretKey,
    trust: Trust,
}

impl Signed {
    fn new() -> Self {
        let key = SecretKey::generate("ann").expect("a key");
        let trust = Trust {
            required: true,
            keys: [("ann".to_owned(), key.public())].into(),
        };
        Self {
            disk: Disk::new(),
            key,
            trust,
        }
    }

    /// Signs these bytes into that file.
    fn sign(&self, bytes: &[u8], name: &str) {
        let signature = self.key.sign(&Digest::of(bytes)).to_string();
        self.disk.write(name, signature.as_bytes());
    }

    fn read(&self, modules: &ModuleFolders, name: &str) -> Result<Module, ModuleError> {
        let demand = Demand {
            sha256: None,
            trust: &self.trust,
            signed_by: &BTreeSet::new(),
        };
        modules.read(name, LIMIT, &demand)
    }

    #[track_caller]
    fn refused(&self, name: &str, expected: &str) {
        let root = format!("{}/", self.disk.root.path().display());
        let error = self
            .read(&self.disk.modules(), name)
            .expect_err("it isn't signed as it must be");
        let text = error.to_string().replace(&root, "ROOT/");
        assert!(text.contains(expected), "no `{expected}` in `{text}`");
    }
}

#[test]
fn a_signature_is_found_beside_the_file_that_is_loaded() {
    let signed = Signed::new();
    signed.refused("a.wasm", "put it there as ROOT/guests/a.wasm.sig");
    signed.sign(COMPONENT, "guests/a.wasm.sig");
    signed.sign(COMPONENT, "guests/sub/b.wasm.sig");
    symlink("sub/b.wasm", signed.disk.path("guests/near.wasm")).expect("a link");
    let modules = signed.disk.modules();
    for name in ["a.wasm", "sub/b.wasm", "near.wasm", "sub/../a.wasm"] {
        let module = signed.read(&modules, name).expect("it is signed");
        assert_eq!(module.signed_by.as_deref(), Some("ann"), "{name}");
    }
    // What is part of the program needs none.
    let builtin = ModuleFolders::builtins().next().expect("one");
    let name = format!("builtin:{builtin}");
    let demand = Demand {
        sha256: None,
        trust: &signed.trust,
        signed_by: &BTreeSet::new(),
    };
    let module = modules.read(&name, 128 << 20, &demand).expect("built in");
    assert_eq!(module.signed_by, None);
}

#[test]
fn a_signature_of_another_module_or_that_is_none_is_refused() {
    let signed = Signed::new();
    signed.sign(b"another", "guests/a.wasm.sig");
    signed.refused("a.wasm", "a.wasm isn't what ann signed: ");
    // Also where none is required: somebody has changed one of the two.
    let mut lax = Signed::new();
    lax.trust.required = false;
    lax.sign(b"another", "guests/a.wasm.sig");
    lax.refused("a.wasm", "a.wasm isn't what ann signed: ");
    for (text, expected) in [
        (&b""[..], "isn't the one line"),
        (b"\xff\xfe", "isn't the one line"),
        (&[b'x'; 10_000], "has more than 512 bytes"),
    ] {
        signed.disk.write("guests/a.wasm.sig", text);
        signed.refused("a.wasm", expected);
    }
}

#[test]
fn a_signature_that_is_no_file_is_refused_and_neither_followed_nor_waited_for() {
    let signed = Signed::new();
    let expected = "ROOT/guests/a.wasm.sig is no signature of a module: it is no regular file; make it with `weir guest sign`";
    let path = signed.disk.path("guests/a.wasm.sig");
    fs::create_dir(&path).expect("a folder");
    signed.refused("a.wasm", expected);
    fs::remove_dir(&path).expect("removed");
    signed.disk.pipe("guests/a.wasm.sig");
    signed.refused("a.wasm", expected);
    fs::remove_file(&path).expect("removed");
    // A good one, but elsewhere: whoever may write there doesn't say what is signed here.
    signed.sign(COMPONENT, "elsewhere/good.sig");
    signed.sign(COMPONENT, "guests/sub/good.sig");
    for target in ["../elsewhere/good.sig", "sub/good.sig", "nowhere"] {
        symlink(target, &path).expect("a link");
        signed.refused("a.wasm", expected);
        fs::remove_file(&path).expect("removed");
    }
}

#[test]
fn as_root_a_signature_that_others_can_write_is_refused_with_path_and_mode() {
    let signed = Signed::new();
    signed.sign(COMPONENT, "guests/a.wasm.sig");
    signed.disk.set_mode("guests/a.wasm.sig", 0o666);
    let mut modules = signed.disk.modules();
    modules.user = ROOT;
    let error = signed
        .read(&modules, "a.wasm")
        .expect_err("others can write it")
        .to_string();
    // Run by another user, the first thing that isn't trusted is the owner of the guest folder.
    if rustix::process::geteuid().is_root() {
        assert!(error.contains("a.wasm.sig (mode 0666, user 0)"), "{error}");
    }
    assert!(error.ends_with(", and Weir runs as root"), "{error}");
}

#[test]
fn a_pin_holds_besides_a_signature() {
    let signed = Signed::new();
    signed.sign(COMPONENT, "guests/a.wasm.sig");
    let modules = signed.disk.modules();
    for (pin, is_right) in [(Digest::of(COMPONENT), true), (Digest::of(b"old"), false)] {
        let demand = Demand {
            sha256: Some(&pin),
            trust: &signed.trust,
            signed_by: &BTreeSet::new(),
        };
        let found = modules.read("a.wasm", LIMIT, &demand);
        assert_eq!(found.is_ok(), is_right, "{found:?}");
    }
}

#[test]
fn where_nobody_is_trusted_by_name_a_file_called_like_a_signature_is_nobodys_business() {
    let disk = Disk::new();
    disk.write("guests/a.wasm.sig", b"-----BEGIN PGP SIGNATURE-----");
    disk.check("a.wasm", Ok(()));
    let mut signed = Signed::new();
    signed.trust.required = false;
    signed.disk.write("guests/a.wasm.sig", b"-----BEGIN PGP");
    let error = signed
        .read(&signed.disk.modules(), "a.wasm")
        .expect_err("no signature");
    let ModuleError::Trust(error) = error else {
        panic!("{error:?}");
    };
    assert!(matches!(*error, TrustError::Malformed { .. }), "{error:?}");
}
