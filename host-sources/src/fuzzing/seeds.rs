//! The seeds of the fuzz targets, as they lie in `host-sources/fuzz/seeds`: made here, and compared with the
//! files, so that nobody has to trust bytes. `WEIR_BLESS=1 cargo test -p weir-sources seeds` writes them.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::netlink::Requests;

/// Set to write the seeds instead of comparing them.
const BLESS: &str = "WEIR_BLESS";

type Target = (&'static str, fn(&[u8]), BTreeMap<&'static str, Vec<u8>>);

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// A record with a head, and what follows it.
fn record(what: u32, rest: &[u8]) -> Vec<u8> {
    let mut record = words(&[what, 42, 7, 1000, 5_000, 0, 9_000, 0, 17, 0]);
    record.extend_from_slice(b"a name\0\0\0\0\0\0\0\0\0\0");
    record.extend_from_slice(rest);
    record
}

fn exec() -> Vec<u8> {
    let mut rest = words(&[3, 0, 99, 0, 8, 4, 7, 4]);
    rest.extend_from_slice(b"/bin/x\0a\0b\0");
    record(2, &rest)
}

fn connector(what: u32, numbers: &[u32]) -> Vec<u8> {
    let mut message = words(&[1, 1, 0, 0, 40]);
    message.extend(words(&[what, 0, 7, 0]));
    message.extend(words(numbers));
    message
}

fn taskstats() -> Vec<u8> {
    let mut inner = Requests::default();
    inner.begin(0, 0, 0, &[]);
    inner.attribute(2, &1_u32.to_ne_bytes());
    inner.attribute(3, &[1; 416]);
    let nested = inner.as_bytes().get(16..).unwrap();
    let mut answer = Requests::default();
    answer.begin(0x1c, 0, 0, &[2, 1, 0, 0]);
    answer.attribute(5, nested);
    answer.as_bytes().to_vec()
}

/// A file about the machine, behind the byte that says which.
fn system_file(which: u8, text: &str) -> Vec<u8> {
    let mut bytes = vec![which];
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

fn system_files() -> BTreeMap<&'static str, Vec<u8>> {
    let files = [
        (
            "stat",
            0,
            "cpu  10 0 5 100 1 0 0 0 0 0\ncpu0 10 0 5 100 1 0 0 0 0 0\nbtime 1\n",
        ),
        (
            "diskstats",
            1,
            "   8       0 sda 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n",
        ),
        (
            "net-dev",
            2,
            "Inter-|   Receive\n face |bytes\n    lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n",
        ),
        (
            "pressure",
            3,
            "some avg10=0.00 avg60=1.25 avg300=100.00 total=77\n",
        ),
        (
            "meminfo",
            4,
            "MemTotal:       100 kB\nMemFree:         50 kB\n",
        ),
        (
            "mountinfo",
            5,
            "36 35 98:0 /mnt1 /a\\040b rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n",
        ),
        (
            "cpuinfo",
            6,
            "processor\t: 0\nmodel name\t: A cpu\nflags\t\t: fpu\n",
        ),
        ("cpus", 6, "0-3,5\n"),
        (
            "os-release",
            7,
            "NAME=\"A \\\"name\\\"\"\nID=x\n# no\nVERSION_ID='1'\n",
        ),
    ];
    files
        .into_iter()
        .map(|(name, which, text)| (name, system_file(which, text)))
        .collect()
}

/// An answer of sock_diag about a TCP socket on loopback.
fn socket() -> Vec<u8> {
    let mut body = vec![2, 1, 0, 0];
    body.extend([0x1f, 0x90, 0xc3, 0x50]);
    for address in [[127, 0, 0, 1], [127, 0, 0, 1]] {
        body.extend(address);
        body.extend([0; 12]);
    }
    body.extend(words(&[1, 77, 0, 0, 0, 0, 1000, 4711]));
    let mut answer = Requests::default();
    answer.begin(20, 0, 7, &body);
    answer.attribute(2, &[1; 240]);
    answer.as_bytes().to_vec()
}

fn targets() -> [Target; 7] {
    let stat: &[u8] = b"5 () R 1) S 1 7 7 0 -1 4194560 1 2 3 4 50 6 7 8 20 0 2 0 4711 4096 77 1844674407370955 \
        94000 94100 95000 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 96000 96100 97000 98000 98100 98100 98200 0\n";
    let group = format!("4:pids:/a\n0::/x/{}\n", "0123456789abcdef".repeat(4));
    let of = |seeds: &[(&'static str, &[u8])]| {
        seeds
            .iter()
            .map(|(name, bytes)| (*name, bytes.to_vec()))
            .collect::<BTreeMap<_, _>>()
    };
    let mut request = Requests::default();
    request.begin(0x10, Requests::DUMP, 7, &[3, 1, 0, 0]);
    request.attribute(2, b"TASKSTATS\0");
    [
        (
            "types",
            types,
            of(&[
                ("new", &ebpf::tests::types_of_a_kernel(0)),
                ("old", &ebpf::tests::types_of_a_kernel(2)),
            ]),
        ),
        (
            "records",
            records,
            of(&[
                ("fork", &record(1, &[])),
                ("exec", &exec()),
                ("exit", &record(3, &words(&[4, 9, 256, 0]))),
                ("thread", &words(&[43, 42, 77, 0])),
                ("held", &words(&[9, 0, 5_000, 0, 4_711, 42, 1_000, 2])),
            ]),
        ),
        (
            "files",
            files,
            of(&[
                ("stat", stat),
                ("statm", b"100 80 3 4 5 6 7\n"),
                ("cgroup", group.as_bytes()),
                ("cmdline", b"a\nb\0\xff\0\0"),
            ]),
        ),
        (
            "messages",
            messages,
            of(&[
                ("fork", &connector(1, &[1, 1, 2, 2])),
                ("exec", &connector(2, &[2, 2])),
                ("exit", &connector(0x8000_0000, &[2, 2, 256, 17, 1, 1])),
                ("taskstats", &taskstats()),
            ]),
        ),
        ("netlink", netlink, of(&[("request", request.as_bytes())])),
        (
            "sockets",
            sockets,
            of(&[
                ("socket", &socket()),
                ("link", b"socket:[4711]"),
                (
                    "mounts",
                    b"1 2 0:4 net:[4026531840] /run/netns/a rw - nsfs nsfs rw\n",
                ),
            ]),
        ),
        ("system", system, system_files()),
    ]
}

#[test]
fn the_seeds_are_those_that_are_made_here_and_all_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    for (target, run, seeds) in targets() {
        let folder = folder.join(target);
        if std::env::var_os(BLESS).is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            for (name, bytes) in &seeds {
                std::fs::write(folder.join(name), bytes).unwrap();
            }
        }
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            files.insert(name, std::fs::read(path).unwrap());
        }
        let made: BTreeMap<String, Vec<u8>> = seeds
            .into_iter()
            .map(|(name, bytes)| (name.to_owned(), bytes))
            .collect();
        assert!(made == files, "{target}: run this test with {BLESS}=1");
        for bytes in made.values() {
            run(bytes);
        }
    }
}
