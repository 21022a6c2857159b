//! Promises of the program that tells whose a socket is: which changes it believes, and what it copies.

use super::super::programs::files;
use super::super::programs::sockets::{Held, What, assemble, assemble_destroy, read};
use super::*;

const ESTABLISHED: u64 = 1;
const SYN_SENT: u64 = 2;
const FIN_WAIT_1: u64 = 4;
const FIN_WAIT_2: u64 = 5;
const TIME_WAIT: u64 = 6;
const CLOSE: u64 = 7;
const CLOSE_WAIT: u64 = 8;
const LAST_ACK: u64 = 9;
const LISTEN: u64 = 10;
const TCP: u64 = 6;
const KERNEL_THREAD: u64 = 0x0020_0000;

impl Kernel {
    /// The types of sockets.
    pub(super) fn add_sockets(self, types: &mut Types, user: u32, pointer: u32) {
        let at = |at: u32| at + self.shift;
        let bytes = 512 + self.shift;
        let (byte, half, word) = (types.int(1), types.int(2), types.int(4));
        let namespace = types.structure("ns_common", 32, &[("inum", word, 16)]);
        types.structure("net", bytes, &[("ns", namespace, at(24))]);
        let net = types.structure("", 8, &[("net", pointer, 0)]);
        let common = types.structure(
            "sock_common",
            64,
            &[("skc_family", half, 16), ("skc_net", net, 48)],
        );
        types.structure("socket", bytes, &[("sk", pointer, at(8))]);
        self.add_file_iterator(types, word, pointer);
        let lock = types.structure("", 16, &[("slock", word, 0), ("owned", word, 4)]);
        types.structure(
            "sock",
            bytes,
            &[
                ("__sk_common", common, 0),
                ("sk_lock", lock, at(64)),
                ("sk_uid", user, at(80)),
                ("sk_protocol", half, at(84)),
                ("sk_shutdown", byte, at(86)),
            ],
        );
    }

    fn add_file_iterator(self, types: &mut Types, word: u32, pointer: u32) {
        // The members stand in unions without a name.
        let [meta, task, file] = ["meta", "task", "file"].map(|name| types.union_of(name, pointer));
        let members = [
            ("", meta, 0),
            ("", task, 8),
            ("fd", word, 16),
            ("", file, 24),
        ];
        types.structure("bpf_iter__task_file", 32, &members);
    }

    /// A socket in the namespace 4711 of the user 1000: its place.
    fn socket(self, btf: &Btf<'_>, machine: &mut Machine, of: &Of) -> u64 {
        let (socket, net) = (machine.allocate(1_024), machine.allocate(1_024));
        machine.set(btf, net, ("net", "ns.inum"), 4_711);
        for (path, value) in [
            ("__sk_common.skc_net.net", net),
            ("sk_uid.val", 1_000),
            ("sk_protocol", of.protocol),
            ("sk_lock.owned", u64::from(of.is_locked)),
            ("sk_shutdown", of.shutdown),
        ] {
            machine.set(btf, socket, ("sock", path), value);
        }
        socket
    }

    /// A thread that doesn't lead its process, which does the thing.
    fn thread(self, btf: &Btf<'_>, machine: &mut Machine, of: &Of) -> u64 {
        let (leader, thread) = (self.task(btf, machine), self.task(btf, machine));
        for (path, value) in [
            ("pid", 43),
            ("start_boottime", 9_999),
            ("group_leader", leader),
            ("flags", if of.is_kernels { KERNEL_THREAD } else { 0x40 }),
        ] {
            self.set(btf, machine, thread, path, value);
        }
        thread
    }
}

/// What the program finds.
#[derive(Clone, Copy)]
struct Of {
    protocol: u64,
    is_locked: bool,
    shutdown: u64,
    is_kernels: bool,
}

const OF_TCP: Of = Of {
    protocol: TCP,
    is_locked: true,
    shutdown: 0,
    is_kernels: false,
};

fn told(machine: &Machine) -> Option<What> {
    let record = machine.written().pop()?;
    let held = read(&record).expect("no record of a socket");
    let expected = Held {
        cookie: machine::COOKIE,
        namespace: 4_711,
        pid: 42,
        start_ns: 5_000,
        user_id: 1_000,
        what: held.what,
    };
    assert_eq!(held, expected);
    Some(held.what)
}

#[test]
fn only_what_a_process_does_to_a_tcp_socket_in_its_hand_is_told() {
    for kernel in Kernel::ALL {
        let bytes = kernel.types();
        let btf = Btf::parse(&bytes).unwrap();
        let program = assemble(&btf, MAPS.outlet).unwrap();
        let check = |before: u64, after: u64, of: Of, expected: Option<What>| {
            let mut machine = Machine::new(&program);
            let socket = kernel.socket(&btf, &mut machine, &of);
            let thread = kernel.thread(&btf, &mut machine, &of);
            machine.set_thread(thread);
            machine.run(&mut words(&[socket, before, after]));
            assert_eq!(told(&machine), expected, "{before} to {after}");
        };
        let closing = Of {
            shutdown: 3,
            ..OF_TCP
        };
        let (taken, let_go) = (Some(What::TakenUp), Some(What::LetGo));
        for (before, after, of, expected) in [
            (CLOSE, SYN_SENT, OF_TCP, taken),
            (CLOSE, LISTEN, OF_TCP, taken),
            (ESTABLISHED, FIN_WAIT_1, OF_TCP, let_go),
            (CLOSE_WAIT, LAST_ACK, closing, let_go),
            (ESTABLISHED, CLOSE, closing, let_go),
            (LISTEN, CLOSE, closing, let_go),
            // The answer to a call, and to a close: whoever has the lock takes it from the queue.
            (SYN_SENT, ESTABLISHED, OF_TCP, None),
            (FIN_WAIT_2, CLOSE, closing, None),
            (TIME_WAIT, CLOSE, closing, None),
            (LAST_ACK, CLOSE, closing, None),
            // What was reset changes no more.
            (CLOSE, CLOSE, closing, None),
            // Somebody else kills it.
            (ESTABLISHED, CLOSE, OF_TCP, None),
            (LISTEN, CLOSE, OF_TCP, None),
        ] {
            check(before, after, of, expected);
            let by_packet = Of {
                is_locked: false,
                ..of
            };
            let by_kernel = Of {
                is_kernels: true,
                ..of
            };
            // SCTP, of whose kinds of sockets it is told, too.
            let of_sctp = Of {
                protocol: 132,
                ..of
            };
            for of in [by_packet, by_kernel, of_sctp] {
                check(before, after, of, None);
            }
        }
    }
}

#[test]
fn who_closes_a_socket_that_was_reset_is_told_when_it_is_destroyed() {
    for kernel in Kernel::ALL {
        let bytes = kernel.types();
        let btf = Btf::parse(&bytes).unwrap();
        let program = assemble_destroy(&btf, MAPS.outlet).unwrap();
        let check = |of: Of, expected: Option<What>| {
            let mut machine = Machine::new(&program);
            let socket = kernel.socket(&btf, &mut machine, &of);
            let thread = kernel.thread(&btf, &mut machine, &of);
            machine.set_thread(thread);
            machine.run(&mut words(&[socket]));
            assert_eq!(told(&machine), expected);
        };
        let closing = Of {
            shutdown: 3,
            ..OF_TCP
        };
        let by_packet = Of {
            is_locked: false,
            ..closing
        };
        let by_kernel = Of {
            is_kernels: true,
            ..closing
        };
        check(closing, Some(What::Destroyed));
        for of in [OF_TCP, by_packet, by_kernel] {
            check(of, None);
        }
    }
}

#[test]
fn a_holder_that_finds_no_room_is_counted() {
    let kernel = Kernel::ALL[0];
    let bytes = kernel.types();
    let btf = Btf::parse(&bytes).unwrap();
    let program = assemble(&btf, MAPS.outlet).unwrap();
    let mut machine = Machine::new(&program);
    machine.set_losses(MAPS.outlet.losses);
    let socket = kernel.socket(&btf, &mut machine, &OF_TCP);
    let thread = kernel.thread(&btf, &mut machine, &OF_TCP);
    machine.set_thread(thread);
    machine.set_full();
    for _ in 0..2 {
        machine.run(&mut words(&[socket, CLOSE, SYN_SENT]));
    }
    assert_eq!(machine.losses(), [2, 0, 0]);
}

#[test]
fn descriptors_of_internet_sockets_are_copied_and_no_others() {
    for kernel in Kernel::ALL {
        let bytes = kernel.types();
        let btf = Btf::parse(&bytes).unwrap();
        let program = files::assemble(&btf).unwrap();
        let check = |family: Option<u64>, is_told: bool| {
            let mut machine = Machine::new(&program);
            let socket = kernel.socket(&btf, &mut machine, &OF_TCP);
            let thread = kernel.thread(&btf, &mut machine, &OF_TCP);
            let (file, inode) = (machine.allocate(1_024), machine.allocate(1_024));
            let (context, meta) = (machine.allocate(64), machine.allocate(1_024));
            let of_file = machine.allocate(1_024);
            machine.set(&btf, inode, ("inode", "i_ino"), 99);
            machine.set(&btf, file, ("file", "f_inode"), inode);
            machine.set(&btf, of_file, ("socket", "sk"), socket);
            let family_at = ("sock", "__sk_common.skc_family");
            machine.set(&btf, socket, family_at, family.unwrap_or_default());
            machine.set_socket(if family.is_some() { of_file } else { 0 });
            for (path, value) in [("meta", meta), ("task", thread), ("fd", 7), ("file", file)] {
                machine.set(&btf, context, ("bpf_iter__task_file", path), value);
            }
            machine.run_at(context);
            let record = machine.written().pop();
            assert_eq!(record.is_some(), is_told, "{family:?}");
            if let Some(record) = record {
                let (descriptor, rest) = files::read(&record).unwrap();
                let expected = files::Descriptor {
                    inode: 99,
                    pid: 42,
                    start_ns: 5_000,
                    number: 7,
                };
                assert_eq!((descriptor, rest), (expected, &[][..]));
            }
        };
        check(Some(2), true);
        check(Some(10), true);
        // A socket of UNIX, and a file that is none.
        check(Some(1), false);
        check(None, false);
    }
}

proptest! {
    #[test]
    fn a_record_of_a_socket_is_whole_and_of_a_kind_that_is_known(bytes: Vec<u8>, what in 0_u32..6) {
        let mut bytes = bytes;
        if let Some(place) = bytes.get_mut(28..32) {
            place.copy_from_slice(&what.to_ne_bytes());
        }
        let is_known = (1..4).contains(&what);
        prop_assert_eq!(read(&bytes).is_some(), bytes.len() >= 32 && is_known);
    }
}
