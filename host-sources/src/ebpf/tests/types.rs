//! Types of kernels that this isn't, in the kernel's own format; and their structures in a machine's memory.

use super::super::btf::Btf;
use super::machine::Machine;

const INT: u32 = 1;
const POINTER: u32 = 2;
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const TYPEDEF: u32 = 8;
const CONST: u32 = 10;
const FUNCTION: u32 = 12;
const PROTOTYPE: u32 = 13;

/// Writes types.
pub(super) struct Types {
    types: Vec<u8>,
    strings: Vec<u8>,
    count: u32,
}

impl Types {
    pub(super) fn new() -> Self {
        Self {
            types: Vec::new(),
            strings: vec![0],
            count: 0,
        }
    }

    fn name(&mut self, name: &str) -> u32 {
        if name.is_empty() {
            return 0;
        }
        let at = u32::try_from(self.strings.len()).unwrap();
        self.strings.extend_from_slice(name.as_bytes());
        self.strings.push(0);
        at
    }

    fn add(
        &mut self,
        name: &str,
        kind: u32,
        members: usize,
        size_or_type: u32,
        tail: &[u32],
    ) -> u32 {
        let name = self.name(name);
        let info = kind << 24 | u32::try_from(members).unwrap();
        for number in [name, info, size_or_type].iter().chain(tail) {
            self.types.extend_from_slice(&number.to_ne_bytes());
        }
        self.count += 1;
        self.count
    }

    pub(super) fn int(&mut self, bytes: u32) -> u32 {
        self.add("int", INT, 0, bytes, &[bytes * 8])
    }

    pub(super) fn pointer(&mut self, to: u32) -> u32 {
        self.add("", POINTER, 0, to, &[])
    }

    fn array(&mut self, of: u32, count: u32) -> u32 {
        self.add("", ARRAY, 0, 0, &[of, of, count])
    }

    /// A union without a name of one member.
    pub(super) fn union_of(&mut self, name: &str, id: u32) -> u32 {
        self.compound(UNION, "", 8, &[(name, id, 0)])
    }

    pub(super) fn structure(
        &mut self,
        name: &str,
        bytes: u32,
        members: &[(&str, u32, u32)],
    ) -> u32 {
        self.compound(STRUCT, name, bytes, members)
    }

    fn compound(&mut self, kind: u32, name: &str, bytes: u32, members: &[(&str, u32, u32)]) -> u32 {
        let mut tail = Vec::new();
        for (name, id, at) in members {
            tail.extend([self.name(name), *id, at * 8]);
        }
        self.add(name, kind, members.len(), bytes, &tail)
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        let types = u32::try_from(self.types.len()).unwrap();
        let strings = u32::try_from(self.strings.len()).unwrap();
        let mut bytes = 0xeb9f_u16.to_ne_bytes().to_vec();
        bytes.extend([1, 0]);
        for number in [24, 0, types, types, strings] {
            bytes.extend_from_slice(&u32::to_ne_bytes(number));
        }
        bytes.extend(self.types);
        bytes.extend(self.strings);
        bytes
    }
}

/// A kernel with its own names and places.
#[derive(Clone, Copy)]
pub(super) struct Kernel {
    /// Bytes by which all places are further than in the first.
    pub(super) shift: u32,
    /// Fields are called as they were, and counters are kept as they were, before 5.14 and 6.2; who is last is
    /// not told, as before 6.17.
    is_old: bool,
}

impl Kernel {
    pub(super) const ALL: [Self; 3] = [
        Self {
            shift: 0,
            is_old: false,
        },
        Self {
            shift: 136,
            is_old: false,
        },
        Self {
            shift: 24,
            is_old: true,
        },
    ];

    pub(super) const fn state(self) -> &'static str {
        if self.is_old { "state" } else { "__state" }
    }

    pub(super) fn types(self) -> Vec<u8> {
        let mut types = Types::new();
        let byte = types.int(1);
        let word = types.int(4);
        let double = types.int(8);
        let pointer = types.pointer(word);
        let text = types.array(byte, 16);
        let constant = types.add("", CONST, 0, double, &[]);
        let number = types.add("u64", TYPEDEF, 0, constant, &[]);
        let user = types.structure("", 4, &[("val", word, 0)]);
        let user = types.add("kuid_t", TYPEDEF, 0, user, &[]);
        let at = |at: u32| at + self.shift;
        let bytes = 512 + self.shift;
        let runs = types.structure("sched_entity", 64, &[("sum_exec_runtime", number, 16)]);
        types.structure(
            "task_struct",
            bytes,
            &[
                (self.state(), word, at(4)),
                ("pid", word, at(8)),
                ("tgid", word, at(12)),
                ("flags", word, at(16)),
                ("exit_state", word, at(20)),
                ("exit_code", word, at(24)),
                ("se", runs, at(32)),
                ("mm", pointer, at(96)),
                ("real_parent", pointer, at(104)),
                ("group_leader", pointer, at(112)),
                ("start_boottime", number, at(120)),
                ("real_cred", pointer, at(128)),
                ("comm", text, at(136)),
                ("signal", pointer, at(152)),
                ("self_exec_id", number, at(160)),
                ("cgroups", pointer, at(168)),
            ],
        );
        types.structure(
            "cred",
            bytes,
            &[("uid", user, at(0)), ("euid", user, at(8))],
        );
        let counter = types.structure("", 4, &[("counter", word, 0)]);
        types.structure(
            "signal_struct",
            bytes,
            &[
                ("live", counter, at(4)),
                ("flags", word, at(8)),
                ("group_exit_code", word, at(12)),
                ("sum_sched_runtime", number, at(16)),
            ],
        );
        self.add_memory(&mut types, word, double, pointer);
        self.add_sockets(&mut types, user, pointer);
        types.structure("bpf_iter_meta", 24, &[("seq", pointer, at(0))]);
        let [meta, task] = ["meta", "task"].map(|name| types.union_of(name, pointer));
        types.structure("bpf_iter__task", 16, &[("", meta, 0), ("", task, 8)]);
        let arguments = if self.is_old { 1 } else { 2 };
        let prototype: Vec<u32> = (0..=arguments).flat_map(|_| [0, pointer]).collect();
        let prototype = types.add("", PROTOTYPE, arguments + 1, 0, &prototype);
        let function = types.pointer(prototype);
        types.add("btf_trace_sched_process_exit", TYPEDEF, 0, function, &[]);
        types.add("bpf_iter_task", FUNCTION, 0, prototype, &[]);
        types.bytes()
    }

    fn add_memory(self, types: &mut Types, word: u32, double: u32, pointer: u32) {
        let at = |at: u32| at + self.shift;
        let bytes = 512 + self.shift;
        let resident = if self.is_old {
            let counter = types.structure("", 8, &[("counter", double, 0)]);
            let counters = types.array(counter, 4);
            types.structure("mm_rss_stat", 32, &[("count", counters, 0)])
        } else {
            let counter = types.structure("percpu_counter", 40, &[("count", double, 8)]);
            types.array(counter, 4)
        };
        let inner = types.structure(
            "",
            400,
            &[
                ("exe_file", pointer, 0),
                ("arg_start", double, 8),
                ("arg_end", double, 16),
                ("rss_stat", resident, 24),
            ],
        );
        types.structure("mm_struct", bytes, &[("", inner, at(8))]);
        let path = types.structure("path", 16, &[("dentry", pointer, 8)]);
        types.structure(
            "file",
            bytes,
            &[("f_path", path, at(0)), ("f_inode", pointer, at(16))],
        );
        let name = types.structure("", 8, &[("hash", word, 0), ("len", word, 4)]);
        let name = types.compound(UNION, "", 8, &[("", name, 0)]);
        let name = types.structure("qstr", 16, &[("", name, 0)]);
        let list = types.structure("hlist_bl_node", 16, &[("pprev", pointer, 8)]);
        types.structure(
            "dentry",
            bytes,
            &[("d_hash", list, at(8)), ("d_name", name, at(24))],
        );
        types.structure(
            "inode",
            bytes,
            &[("i_ino", double, at(0)), ("i_sb", pointer, at(8))],
        );
        types.structure("super_block", bytes, &[("s_dev", word, at(16))]);
        types.structure(
            "linux_binprm",
            bytes,
            &[("file", pointer, at(8)), ("interp", pointer, at(16))],
        );
    }

    /// A process with all that hangs on it: its place.
    pub(super) fn task(self, btf: &Btf<'_>, machine: &mut Machine) -> u64 {
        let task = machine.allocate(1_024);
        let parent = machine.allocate(1_024);
        let (cred, signal) = (machine.allocate(1_024), machine.allocate(1_024));
        let (memory, file) = (machine.allocate(1_024), machine.allocate(1_024));
        let dentry = machine.allocate(1_024);
        machine.set(btf, parent, ("task_struct", "tgid"), 7);
        machine.set(btf, cred, ("cred", "euid.val"), 1000);
        machine.set(btf, signal, ("signal_struct", "sum_sched_runtime"), 11);
        machine.set(btf, dentry, ("dentry", "d_name.hash"), 0xabcd);
        machine.set(btf, file, ("file", "f_path.dentry"), dentry);
        machine.set(btf, memory, ("mm_struct", "exe_file"), file);
        for (index, pages) in [1, 2, 1_000, 4].into_iter().enumerate() {
            let path = match self.is_old {
                true => format!("rss_stat.count[{index}].counter"),
                false => format!("rss_stat[{index}].count"),
            };
            machine.set(btf, memory, ("mm_struct", &path), pages);
        }
        for (path, value) in [
            (self.state(), 1),
            ("pid", 42),
            ("tgid", 42),
            ("exit_code", 256),
            ("se.sum_exec_runtime", 77),
            ("mm", memory),
            ("real_parent", parent),
            ("group_leader", task),
            ("start_boottime", 5_000),
            ("real_cred", cred),
            ("signal", signal),
            ("self_exec_id", 3),
            ("cgroups", 17),
        ] {
            self.set(btf, machine, task, path, value);
        }
        let name = btf.field("task_struct", "comm").unwrap();
        machine.write(
            task + u64::from(name.offset_bytes),
            b"a name\0\0\0\0\0\0\0\0\0\0",
        );
        task
    }

    pub(super) fn set(
        self,
        btf: &Btf<'_>,
        machine: &mut Machine,
        task: u64,
        path: &str,
        value: u64,
    ) {
        machine.set(btf, task, ("task_struct", path), value);
    }

    pub(super) fn iterator_context(self, btf: &Btf<'_>, machine: &mut Machine, task: u64) -> u64 {
        let (context, meta) = (machine.allocate(64), machine.allocate(1_024));
        machine.set(btf, context, ("bpf_iter__task", "meta"), meta);
        machine.set(btf, context, ("bpf_iter__task", "task"), task);
        context
    }

    pub(super) fn set_arguments(
        self,
        btf: &Btf<'_>,
        machine: &mut Machine,
        task: u64,
        arguments: &[u8],
    ) {
        let start = machine.allocate(arguments.len().max(8));
        machine.write(start, arguments);
        let memory = machine.get(btf, task, ("task_struct", "mm"));
        machine.set(btf, memory, ("mm_struct", "arg_start"), start);
        let end = start + arguments.len() as u64;
        machine.set(btf, memory, ("mm_struct", "arg_end"), end);
    }

    pub(super) fn binary(self, btf: &Btf<'_>, machine: &mut Machine, path: &[u8]) -> u64 {
        let (binary, file) = (machine.allocate(1_024), machine.allocate(1_024));
        let (inode, device) = (machine.allocate(1_024), machine.allocate(1_024));
        let text = machine.allocate(4_096);
        machine.write(text, path);
        machine.set(btf, device, ("super_block", "s_dev"), 8);
        machine.set(btf, inode, ("inode", "i_ino"), 99);
        machine.set(btf, inode, ("inode", "i_sb"), device);
        machine.set(btf, file, ("file", "f_inode"), inode);
        machine.set(btf, binary, ("linux_binprm", "file"), file);
        machine.set(btf, binary, ("linux_binprm", "interp"), text);
        binary
    }

    pub(super) fn set_end(
        self,
        btf: &Btf<'_>,
        machine: &mut Machine,
        task: u64,
        is_last: bool,
        group: Option<u32>,
    ) {
        let signal = machine.get(btf, task, ("task_struct", "signal"));
        let flags = if group.is_some() { 4 } else { 0 };
        for (path, value) in [
            ("live.counter", u64::from(!is_last)),
            ("flags", flags),
            ("group_exit_code", u64::from(group.unwrap_or_default())),
        ] {
            machine.set(btf, signal, ("signal_struct", path), value);
        }
    }
}
