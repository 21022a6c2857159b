//! What somebody changes between two looks, and while it is read.

use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::*;

/// So often is a file read that somebody changes.
const LOOKS: u32 = 2_000;

/// After so many, what was never seen isn't there to see: many times what a thread needs to start.
const LOOKS_MAX: u32 = 200_000;

/// Walks a way that was found before: what a reader does whose folder is changed meanwhile.
fn walk(disk: &Disk, way: &str) -> Result<(), String> {
    let folder = disk.path("guests");
    let dir = Dir::open_ambient_dir(&folder, ambient_authority()).expect("the folder");
    let walked = disk
        .modules()
        .walk(&folder, dir, Path::new(way), Path::new(way));
    walked.map(drop).map_err(|error| error.to_string())
}

#[test]
fn a_step_that_became_a_link_after_it_was_looked_at_is_not_followed() {
    let changed = |way: &str| {
        Err(format!(
            "{way} became another file or a link while it was opened: try again, and look who changes its folder"
        ))
    };
    for (old, target) in [
        ("guests/a.wasm", "../elsewhere/c.wasm"),
        // Not within its folder, either: nobody has looked at that way.
        ("guests/a.wasm", "sub/b.wasm"),
    ] {
        let disk = Disk::new();
        assert_eq!(walk(&disk, "a.wasm"), Ok(()));
        fs::remove_file(disk.path(old)).expect("removed");
        symlink(target, disk.path(old)).expect("a link");
        assert_eq!(walk(&disk, "a.wasm"), changed("a.wasm"), "{target}");
    }
    for target in ["../elsewhere", "other"] {
        let disk = Disk::new();
        disk.write("elsewhere/b.wasm", COMPONENT);
        assert_eq!(walk(&disk, "sub/b.wasm"), Ok(()));
        fs::rename(disk.path("guests/sub"), disk.path("guests/other")).expect("moved");
        symlink(target, disk.path("guests/sub")).expect("a link");
        assert_eq!(walk(&disk, "sub/b.wasm"), changed("sub/b.wasm"), "{target}");
    }
    let disk = Disk::new();
    fs::rename(disk.path("guests/sub"), disk.path("guests/other")).expect("moved");
    disk.write("guests/sub", COMPONENT);
    assert_eq!(walk(&disk, "sub/b.wasm"), changed("sub/b.wasm"));
}

#[test]
fn a_folder_that_is_moved_away_while_it_is_walked_leads_nowhere_else() {
    let disk = Disk::new();
    let folder = disk.path("guests");
    let dir = Dir::open_ambient_dir(&folder, ambient_authority()).expect("the folder");
    // The name is another folder's now; the handle is still the one that was looked at.
    fs::rename(&folder, disk.path("moved")).expect("moved");
    fs::rename(disk.path("elsewhere"), &folder).expect("moved");
    let modules = disk.modules();
    let way = Path::new("c.wasm");
    assert!(
        modules
            .walk(&folder, dir.try_clone().expect("a handle"), way, way)
            .is_err()
    );
    let way = Path::new("a.wasm");
    assert!(modules.walk(&folder, dir, way, way).is_ok());
}

#[test]
fn what_was_hashed_is_what_is_loaded_however_often_the_file_changes() {
    let disk = Disk::new();
    let contents = [1_u8, 2].map(|mark| {
        let mut bytes = COMPONENT.to_vec();
        bytes.resize(64 << 10, mark);
        bytes
    });
    disk.write("guests/a.wasm", &contents[0]);
    let read_on = || {
        let pin = Digest::of(&contents[1]);
        let modules = disk.modules();
        let mut loaded = 0;
        for look in 0.. {
            if look >= LOOKS && loaded > 0 {
                break;
            }
            assert!(look < LOOKS_MAX, "it was never what was pinned");
            if let Ok(module) = read(&modules, "a.wasm", LIMIT, Some(&pin)) {
                assert!(*module.bytes == contents[1], "not what was pinned");
                loaded += 1;
            }
            if let Ok(module) = read(&modules, "a.wasm", LIMIT, None) {
                assert_eq!(module.digest, Digest::of(&module.bytes));
            }
        }
    };
    std::thread::scope(|scope| {
        let reader = scope.spawn(read_on);
        // Half the time by a new file, half the time under the reader's hands.
        for bytes in contents.iter().cycle() {
            if reader.is_finished() {
                break;
            }
            fs::write(disk.path("guests/a.wasm"), bytes).expect("written");
            fs::write(disk.path("new"), bytes).expect("written");
            fs::rename(disk.path("new"), disk.path("guests/a.wasm")).expect("renamed");
        }
    });
}

#[test]
fn a_socket_or_a_device_in_place_of_a_module_is_refused_and_not_waited_for() {
    let disk = Disk::new();
    let _socket =
        std::os::unix::net::UnixListener::bind(disk.path("guests/socket.wasm")).expect("a socket");
    let error = disk.load("socket.wasm").expect_err("a socket");
    assert!(error.starts_with("can't read socket.wasm: "), "{error}");
    let device = rustix::fs::mknodat(
        rustix::fs::CWD,
        disk.path("guests/zero.wasm"),
        rustix::fs::FileType::CharacterDevice,
        rustix::fs::Mode::from_bits_truncate(0o644),
        // /dev/zero never ends.
        rustix::fs::makedev(1, 5),
    );
    // Only root may make one, and not everywhere.
    if device.is_ok() {
        let error = disk.load("zero.wasm").expect_err("a device");
        assert!(error.contains("zero.wasm"), "{error}");
    }
}
