//! Files on a disk, and which of them are taken for modules.

mod races;
mod signatures;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use super::folders::{ROOT, distrust};
use super::*;
use crate::trust::Trust;

/// The header of a component, which is also the smallest one.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
const LIMIT: usize = 1 << 20;

/// Reads a module that may be pinned, and of which nobody asks who signed it.
fn read(
    modules: &ModuleFolders,
    name: &str,
    bytes_max: usize,
    sha256: Option<&Digest>,
) -> Result<Module, ModuleError> {
    let demand = Demand {
        sha256,
        trust: &Trust::default(),
        signed_by: &BTreeSet::new(),
    };
    modules.read(name, bytes_max, &demand)
}

/// A guest folder with `a.wasm` and `sub/b.wasm`, beside a folder that isn't one.
struct Disk {
    root: tempfile::TempDir,
}

impl Disk {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a temporary folder");
        let disk = Self { root };
        for folder in ["guests", "guests/sub", "elsewhere"] {
            fs::create_dir(disk.path(folder)).expect("a folder");
            disk.set_mode(folder, 0o755);
        }
        for file in ["guests/a.wasm", "guests/sub/b.wasm", "elsewhere/c.wasm"] {
            disk.write(file, COMPONENT);
        }
        disk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).expect("a file");
        self.set_mode(name, 0o644);
    }

    fn set_mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).expect("a mode");
    }

    fn modules(&self) -> ModuleFolders {
        ModuleFolders::open(&[self.path("guests")]).expect("a path")
    }

    fn pipe(&self, name: &str) {
        rustix::fs::mknodat(
            rustix::fs::CWD,
            self.path(name),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_bits_truncate(0o644),
            0,
        )
        .expect("a pipe");
    }

    /// Loads, and gives the error with the temporary folder's name taken out.
    fn load(&self, name: &str) -> Result<Module, String> {
        let root = format!("{}/", self.root.path().display());
        read(&self.modules(), &name.replace("ROOT/", &root), LIMIT, None)
            .map_err(|error| error.to_string().replace(&root, "ROOT/"))
    }

    fn check(&self, name: &str, expected: Result<(), &str>) {
        let found = self.load(name).map(|module| {
            assert_eq!(&*module.bytes, COMPONENT);
            assert_eq!(module.digest, Digest::of(COMPONENT));
        });
        assert_eq!(found, expected.map_err(str::to_owned), "{name}");
    }
}

#[test]
fn a_module_is_read_from_under_a_guest_folder_and_from_nowhere_else() {
    let disk = Disk::new();
    for name in [
        "a.wasm",
        "./a.wasm",
        "sub/b.wasm",
        "sub/../a.wasm",
        "ROOT/guests/a.wasm",
        "ROOT/guests/sub/b.wasm",
    ] {
        disk.check(name, Ok(()));
    }
    for name in [
        "ROOT/elsewhere/c.wasm",
        "../elsewhere/c.wasm",
        "sub/../../elsewhere/c.wasm",
        "ROOT/guests/../elsewhere/c.wasm",
        "/etc/passwd",
    ] {
        let expected = format!(
            "{name} is in none of the guest folders (ROOT/guests): move it there, or add its folder to sandbox.guest_folders"
        );
        disk.check(name, Err(&expected));
    }
    for name in ["none.wasm", "ROOT/guests/none.wasm", "none/a.wasm"] {
        let expected = format!("{name} isn't there; the guest folders are ROOT/guests");
        disk.check(name, Err(&expected));
    }
    disk.check(
        "sub",
        Err("sub is no regular file: give the path of a component (.wasm)"),
    );
}

#[test]
fn a_link_is_followed_within_the_folder_and_never_out_of_it() {
    let disk = Disk::new();
    let link = |to: &Path, name: &str| symlink(to, disk.path(name)).expect("a link");
    link(Path::new("a.wasm"), "guests/near.wasm");
    link(Path::new("sub"), "guests/folder");
    link(Path::new("../elsewhere/c.wasm"), "guests/out.wasm");
    link(&disk.path("elsewhere/c.wasm"), "guests/absolute.wasm");
    link(Path::new("../elsewhere"), "guests/away");
    disk.check("near.wasm", Ok(()));
    disk.check("folder/b.wasm", Ok(()));
    for name in ["out.wasm", "absolute.wasm", "away/c.wasm"] {
        let expected = format!(
            "{name} is in none of the guest folders (ROOT/guests): move it there, or add its folder to sandbox.guest_folders"
        );
        disk.check(name, Err(&expected));
    }
}

#[test]
fn the_first_folder_that_has_it_gives_the_module() {
    let disk = Disk::new();
    let folders = [
        disk.path("missing"),
        disk.path("guests"),
        disk.path("elsewhere"),
    ];
    let modules = ModuleFolders::open(&folders).expect("paths");
    assert!(read(&modules, "c.wasm", LIMIT, None).is_ok());
    let none = ModuleFolders::open(&[]).expect("no paths");
    let none = read(&none, "c.wasm", LIMIT, None).expect_err("no folders");
    assert_eq!(
        none.to_string(),
        "c.wasm is in none of the guest folders (none is configured): move it there, or add its folder to sandbox.guest_folders"
    );
}

#[test]
fn what_is_no_component_is_named_for_what_it_is() {
    let disk = Disk::new();
    let cases: [(&[u8], &str); 7] = [
        (b"", "it is empty"),
        (
            b"\0asm\x01\0\0\0",
            "it is a core module; build it for the target wasm32-wasip2, or wrap it with `wasm-tools component new`",
        ),
        (
            b"\0asm\x0c\0\x01\0",
            "it is WebAssembly of an encoding that isn't known here; build it with a current toolchain for wasm32-wasip2",
        ),
        (
            b"\x7fELF\x02\x01",
            "it is machine code; give the component (.wasm) that it was made from",
        ),
        (
            b" (component)",
            "it is WebAssembly as text; make it binary with `wasm-tools parse`",
        ),
        (
            b"fn main() {}",
            "it is a text; give the path of a component (.wasm)",
        ),
        (
            b"\xff\xfe\x00",
            "it starts with the bytes [ff, fe, 00]; give the path of a component (.wasm)",
        ),
    ];
    for (bytes, found) in cases {
        disk.write("guests/x.wasm", bytes);
        let expected = format!("x.wasm is no component: {found}");
        disk.check("x.wasm", Err(&expected));
    }
}

#[test]
fn a_module_over_the_limit_is_refused_before_it_is_read() {
    let disk = Disk::new();
    let file = fs::File::create(disk.path("guests/big.wasm")).expect("a file");
    // A hole: it has the length, and no bytes on the disk.
    file.set_len(1 << 40).expect("a length");
    disk.check(
        "big.wasm",
        Err("big.wasm has 1099511627776 bytes or more, and a component may have 1048576 (limits.component_bytes_max)"),
    );
    let modules = disk.modules();
    assert!(read(&modules, "a.wasm", COMPONENT.len(), None).is_ok());
    assert!(read(&modules, "a.wasm", COMPONENT.len() - 1, None).is_err());
}

#[test]
fn a_file_that_grows_while_it_is_read_is_still_bounded() {
    // It had no bytes when its length was asked for, and never ends.
    let found = read_bounded(io::repeat(0), 0, 16, Path::new("grown.wasm"));
    assert!(
        matches!(found, Ok(Err(ModuleError::TooLarge { bytes: 17, .. }))),
        "{found:?}"
    );
}

#[test]
fn a_pipe_is_refused_and_not_waited_for() {
    let disk = Disk::new();
    disk.pipe("guests/pipe.wasm");
    disk.check(
        "pipe.wasm",
        Err("pipe.wasm is no regular file: give the path of a component (.wasm)"),
    );
}

#[test]
fn root_trusts_only_what_root_alone_can_write() {
    for (daemon, owner, mode, is_trusted) in [
        (0, 0, 0o644, true),
        (0, 0, 0o755, true),
        (0, 0, 0o664, false),
        (0, 0, 0o646, false),
        (0, 0, 0o1777, false),
        (0, 1000, 0o644, false),
        (1000, 1001, 0o666, true),
    ] {
        let found = distrust(daemon, owner, mode);
        assert_eq!(
            found.is_none(),
            is_trusted,
            "{daemon} {owner} {mode:o}: {found:?}"
        );
    }
}

#[test]
fn as_root_a_folder_on_the_way_that_others_can_write_is_refused() {
    let disk = Disk::new();
    let mut modules = disk.modules();
    modules.user = ROOT;
    let is_root = rustix::process::geteuid().is_root();
    for (path, mode, refused) in [
        ("guests/sub/b.wasm", 0o664, "guests/sub/b.wasm (mode 0664, "),
        ("guests/sub", 0o777, "guests/sub (mode 0777, "),
        ("guests", 0o775, "guests (mode 0775, "),
    ] {
        let before = if mode == 0o664 { 0o644 } else { 0o755 };
        disk.set_mode(path, mode);
        let error = read(&modules, "sub/b.wasm", LIMIT, None)
            .expect_err("others can write it")
            .to_string();
        disk.set_mode(path, before);
        // Run by another user, the first thing that isn't trusted is the owner of the guest folder.
        if is_root {
            assert!(error.contains(refused), "{error}");
        }
        assert!(error.ends_with(", and Weir runs as root"), "{error}");
    }
}

#[test]
fn a_pin_that_does_not_match_names_both_digests() {
    let disk = Disk::new();
    let modules = disk.modules();
    assert!(read(&modules, "a.wasm", LIMIT, Some(&Digest::of(COMPONENT))).is_ok());
    let other = Digest::of(b"another");
    let error = read(&modules, "a.wasm", LIMIT, Some(&other)).expect_err("another module");
    assert_eq!(
        error.to_string(),
        format!(
            "a.wasm has the SHA-256 {}, and the config pins {other}: put the pinned module there, or change the key `sha256`",
            Digest::of(COMPONENT)
        )
    );
}

#[test]
fn built_in_modules_are_components_and_unknown_ones_are_answered_with_those_that_exist() {
    let modules = ModuleFolders::open(&[]).expect("no paths");
    for name in ModuleFolders::builtins() {
        let module =
            read(&modules, &format!("builtin:{name}"), 128 << 20, None).expect("a built-in module");
        assert_eq!(module.digest, Digest::of(&module.bytes));
    }
    let error = read(&modules, "builtin:dam", LIMIT, None).expect_err("no such guest");
    assert_eq!(
        error.to_string(),
        "there is no built-in guest \"dam\": there are rest, lineage, sql-trigger"
    );
}
