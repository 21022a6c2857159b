//! Promises of the programs: in the kernel that this runs on, and outside of any, over the structures of
//! kernels that this isn't.

mod machine;
mod sockets;
mod types;

use proptest::prelude::*;

use super::assembler::{Assembler, If, Register, Width};
use super::btf::Btf;
use super::programs::event::{self, Event, Maps, Outlet, Wake};
use super::programs::tasks::{self, Resting, Task};
use super::programs::{exec, exit, fork};
use super::*;
use machine::Machine;
use types::{Kernel, Types};

/// The types of one of the kernels that this isn't, for others that need some.
pub(crate) fn types_of_a_kernel(index: usize) -> Vec<u8> {
    Kernel::ALL[index].types()
}

const MAPS: Maps = Maps {
    outlet: Outlet {
        wake: Wake::First,
        ring: 11,
        losses: 12,
    },
    scratch: 13,
};

/// The map of processes that rest.
const RESTING: i32 = 14;

#[test]
fn one_read_shows_all_processes() {
    let tasks = match TaskIterator::open() {
        Ok(tasks) => tasks,
        Err(reason) => {
            assert!(!rustix::process::geteuid().is_root(), "{reason}");
            println!("no task iterator for an ordinary user: {reason}");
            return;
        }
    };
    let mut records = Vec::new();
    tasks.read(&Resting::none(), &mut records).unwrap();
    let (mut rest, mut found) = (records.as_slice(), None);
    while let Some((task, next)) = tasks::read(rest) {
        if let Task::Process(process) = task
            && process.pid == std::process::id()
        {
            found = Some(process);
        }
        rest = next;
    }
    assert!(rest.is_empty());
    let own = found.unwrap();
    assert_eq!(own.user_id, rustix::process::geteuid().as_raw());
    assert!(own.has_memory && own.run_ns > 0 && own.start_ns > 0);
}

/// Whether an instruction loads from that offset.
fn loads_from(program: &[u64], offset: i16) -> bool {
    program.iter().any(|instruction| {
        let [opcode, _, low, high, ..] = instruction.to_ne_bytes();
        opcode & 7 == 1 && i16::from_ne_bytes([low, high]) == offset
    })
}

#[test]
fn a_program_for_another_kernel_has_that_kernels_places() {
    let mut programs = Vec::new();
    for kernel in Kernel::ALL {
        let bytes = kernel.types();
        let btf = Btf::parse(&bytes).unwrap();
        let program = tasks::assemble(&btf, RESTING).unwrap();
        let place = btf.field("task_struct", kernel.state()).unwrap();
        assert!(loads_from(
            &program,
            i16::try_from(place.offset_bytes).unwrap()
        ));
        assert!(!programs.contains(&program));
        programs.push(program);
    }
}

#[test]
fn a_field_that_a_kernel_has_not_is_named() {
    let mut types = Types::new();
    let int = types.int(4);
    types.structure("task_struct", 8, &[("pid", int, 0)]);
    let bytes = types.bytes();
    let btf = Btf::parse(&bytes).unwrap();
    let check = |error: String, expected: &str| assert_eq!(error, expected);
    let field = |structure, path| btf.field(structure, path).unwrap_err().to_string();
    check(
        field("task_struct", "tgid"),
        "this kernel's `task_struct` has no field `tgid`",
    );
    check(
        field("task_struct", "pid.deep"),
        "this kernel's `task_struct` has no field `pid.deep`, for its owner is no structure",
    );
    check(
        field("task_struct", "pid[0]"),
        "this kernel's `task_struct` has no field `pid[0]`, for it is no array",
    );
    check(field("cred", "euid"), "this kernel has no structure `cred`");
    check(
        btf.function("f").unwrap_err().to_string(),
        "this kernel has no function `f`",
    );
    check(
        tasks::assemble(&btf, RESTING).unwrap_err().to_string(),
        "this kernel's `task_struct` has no field `__state`",
    );
}

#[test]
fn fields_are_found_through_other_names_arrays_and_members_without_a_name() {
    for kernel in Kernel::ALL {
        let bytes = kernel.types();
        let btf = Btf::parse(&bytes).unwrap();
        let (path, rss) = btf
            .first_field(
                "mm_struct",
                &["rss_stat[1].count", "rss_stat.count[1].counter"],
            )
            .unwrap();
        let zero = btf.field("mm_struct", &path.replace('1', "0")).unwrap();
        assert_eq!(rss.size_bytes, 8);
        assert!(rss.offset_bytes >= zero.offset_bytes + 8);
        // The hash lies in a union without a name.
        assert_eq!(btf.field("dentry", "d_name.hash").unwrap().size_bytes, 4);
        assert!(btf.field("mm_struct", "rss_stat[9].count").is_err());
    }
}

#[test]
fn jumps_lead_to_their_labels_and_what_does_not_fit_is_an_error() {
    let bytes = Types::new().bytes();
    let btf = Btf::parse(&bytes).unwrap();
    let check = |write: &dyn Fn(&mut Assembler<'_>), expected: Result<u64, &str>| {
        let mut program = Assembler::new(&btf);
        write(&mut program);
        program.end();
        match (program.finish(), expected) {
            (Ok(program), Ok(expected)) => {
                assert_eq!(Machine::new(&program).run(&mut [0; 8]), expected);
            }
            (Err(error), Err(expected)) => {
                assert!(error.to_string().contains(expected), "{error}");
            }
            (found, _) => panic!("{found:?}"),
        }
    };
    check(&|_| {}, Ok(0));
    // Forward and back.
    check(
        &|program| {
            let (out, again) = (program.label(), program.label());
            program.set(Register::R6, 0);
            program.bind(again);
            program.add(Register::R6, 1);
            program.jump_if(If::Equal, Register::R6, 5, out);
            program.jump(again);
            program.bind(out);
        },
        Ok(0),
    );
    check(
        &|program| {
            let nowhere = program.label();
            program.jump(nowhere);
        },
        Err("stands nowhere"),
    );
    check(
        &|program| program.load(Width::Word, Register::R1, Register::R1, 40_000),
        Err("40000 bytes or instructions far"),
    );
    check(
        &|program| (0..5_000).for_each(|_| program.set(Register::R1, 1)),
        Err("more than 4096 instructions"),
    );
    check(
        &|program| program.load_field(Register::R1, Register::R1, "none", "x"),
        Err("no structure `none`"),
    );
}

#[test]
fn a_task_is_copied_out_of_any_kernels_structures() {
    for kernel in Kernel::ALL {
        let bytes = kernel.types();
        let btf = Btf::parse(&bytes).unwrap();
        let program = tasks::assemble(&btf, RESTING).unwrap();
        let mut machine = Machine::new(&program);
        let task = kernel.task(&btf, &mut machine);
        let context = kernel.iterator_context(&btf, &mut machine, task);
        machine.run_at(context);
        let record = machine.written().pop().unwrap();
        let (task, rest) = tasks::read(&record).unwrap();
        assert!(rest.is_empty());
        let Task::Process(process) = task else {
            panic!("{task:?}");
        };
        assert_eq!(
            (process.pid, process.parent, process.user_id),
            (42, 7, 1000)
        );
        assert_eq!((process.start_ns, process.run_ns), (5_000, 77));
        assert_eq!((process.run_ns_of_ended, process.execs), (11, 3));
        assert_eq!(process.name, b"a name");
        assert_eq!((process.state, process.resident_pages), (1, 1 + 2 + 4));
        assert!(process.has_memory);
    }
}

#[test]
fn of_a_process_that_has_not_run_only_that_is_told() {
    let mut resting = Resting::none();
    let mut check = |change: &mut dyn FnMut(&mut Resting), rests: bool| {
        change(&mut resting);
        for kernel in Kernel::ALL {
            let bytes = kernel.types();
            let btf = Btf::parse(&bytes).unwrap();
            let program = tasks::assemble(&btf, RESTING).unwrap();
            let mut machine = Machine::new(&program);
            machine.set_value(RESTING, resting.numbers());
            let thread = kernel.task(&btf, &mut machine);
            let context = kernel.iterator_context(&btf, &mut machine, thread);
            let told = |machine: &mut Machine| {
                machine.run_at(context);
                let record = machine.written().pop().unwrap();
                let (task, rest) = tasks::read(&record).unwrap();
                assert!(rest.is_empty());
                match task {
                    Task::Resting { pid: 42 } => true,
                    Task::Process(_) => false,
                    other => panic!("{other:?}"),
                }
            };
            assert_eq!(told(&mut machine), rests);
            // It runs, and what it has had of the CPU isn't counted yet.
            machine.set(&btf, thread, ("task_struct", kernel.state()), 0);
            assert!(!told(&mut machine));
        }
    };
    check(&mut |_| {}, false);
    check(&mut |resting| resting.insert(42, 76), false);
    check(&mut |resting| resting.insert(42, 77), true);
    // Two have the same place.
    check(&mut |resting| resting.insert(42 + 8 * 1024, 77), false);
    check(&mut |resting| resting.insert(42, 77), true);
    check(&mut |resting| resting.remove(42), false);
    check(&mut |resting| resting.insert(42, 77), true);
    check(&mut |resting| resting.clear(), false);
}

#[test]
fn an_exec_is_told_with_its_path_and_arguments() {
    for kernel in Kernel::ALL {
        let bytes = kernel.types();
        let btf = Btf::parse(&bytes).unwrap();
        let program = exec::assemble(&btf, MAPS).unwrap();
        let check = |arguments: &[u8], kept: usize| {
            let mut machine = Machine::new(&program);
            let scratch_bytes = usize::try_from(exec::RECORD_BYTES_MAX).unwrap();
            machine.set_scratch(MAPS.scratch, scratch_bytes);
            let task = kernel.task(&btf, &mut machine);
            kernel.set_arguments(&btf, &mut machine, task, arguments);
            let binary = kernel.binary(&btf, &mut machine, b"/bin/x\0");
            machine.run(&mut words(&[task, 0, binary]));
            let record = machine.written().pop().unwrap();
            let Some(Event::Exec(head, exec)) = event::read(&record) else {
                panic!("no exec: {record:?}");
            };
            assert_eq!((head.pid, head.parent, head.user_id), (42, 7, 1000));
            assert_eq!((head.start_ns, head.name), (5_000, &b"a name"[..]));
            assert_eq!(head.now_ns, machine::NOW_NS);
            assert_eq!(
                (exec.path, exec.file_number, exec.file_device),
                (&b"/bin/x"[..], 99, 8)
            );
            assert_eq!(exec.arguments, &arguments[..kept]);
            assert_eq!(exec.has_all_arguments, kept == arguments.len());
        };
        check(b"", 0);
        check(b"x\0\0y z\0", 7);
        let long = vec![b'x'; 20_000];
        check(&long, usize::try_from(exec::ARGUMENT_BYTES_MAX).unwrap());
    }
}

#[test]
fn only_the_last_thread_of_a_process_is_its_end() {
    for kernel in Kernel::ALL {
        let bytes = kernel.types();
        let btf = Btf::parse(&bytes).unwrap();
        let program = exit::assemble(&btf, MAPS).unwrap();
        let check = |is_last: bool, group: Option<u32>, expected: Option<u32>| {
            let mut machine = Machine::new(&program);
            let task = kernel.task(&btf, &mut machine);
            kernel.set_end(&btf, &mut machine, task, is_last, group);
            machine.run(&mut words(&[task, u64::from(is_last)]));
            let told = machine
                .written()
                .pop()
                .map(|record| match event::read(&record) {
                    Some(Event::Exit(head, exit)) => {
                        assert_eq!(head.pid, 42);
                        exit.wait_status
                    }
                    other => panic!("no exit: {other:?}"),
                });
            assert_eq!(told, expected);
        };
        check(false, None, None);
        check(true, None, Some(256));
        check(true, Some(9), Some(9));
    }
}

#[test]
fn threads_are_no_forks() {
    for kernel in Kernel::ALL {
        let bytes = kernel.types();
        let btf = Btf::parse(&bytes).unwrap();
        let program = fork::assemble(&btf, MAPS).unwrap();
        let check = |pid: u64, is_told: bool| {
            let mut machine = Machine::new(&program);
            let child = kernel.task(&btf, &mut machine);
            kernel.set(&btf, &mut machine, child, "pid", pid);
            machine.run(&mut words(&[0, child]));
            let record = machine.written().pop();
            assert_eq!(record.is_some(), is_told);
            if let Some(record) = record {
                let Some(Event::Fork(head)) = event::read(&record) else {
                    panic!("no fork: {record:?}");
                };
                assert_eq!((head.pid, head.parent), (42, 7));
            }
        };
        check(42, true);
        check(43, false);
    }
}

#[test]
fn what_finds_no_room_is_counted_and_a_reader_is_woken_by_the_first_or_when_much_waits() {
    let kernel = Kernel::ALL[0];
    let bytes = kernel.types();
    let btf = Btf::parse(&bytes).unwrap();
    let check = |wake, flags: [u64; 2]| {
        let mut maps = MAPS;
        maps.outlet.wake = wake;
        let program = fork::assemble(&btf, maps).unwrap();
        let mut machine = Machine::new(&program);
        machine.set_losses(MAPS.outlet.losses);
        let child = kernel.task(&btf, &mut machine);
        for (waiting_bytes, flags) in [0, 64 * 1024].into_iter().zip(flags) {
            machine.set_waiting(waiting_bytes);
            machine.run(&mut words(&[0, child]));
            assert_eq!(machine.flags(), [flags], "{wake:?}");
        }
        (machine, child)
    };
    check(Wake::Much, [1, 2]);
    // The kernel itself sees whether the reader has read all.
    let (mut machine, child) = check(Wake::First, [0, 0]);
    machine.set_full();
    for _ in 0..3 {
        machine.run(&mut words(&[0, child]));
    }
    assert_eq!(machine.losses(), [3, 0, 0]);
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

#[test]
fn a_ring_is_stepped_through_only_within_its_bounds() {
    use super::ring::{Step, step};
    let check = |header, expected| assert_eq!(step(header, 4_096), expected);
    let record = |bytes, advance, is_record| Step::Record {
        bytes,
        advance,
        is_record,
    };
    check(0, record(0, 8, true));
    check(1, record(1, 16, true));
    check(4_088, record(4_088, 4_096, true));
    check(8 | 1 << 30, record(8, 16, false));
    check(8 | 1 << 31, Step::Wait);
    check(4_089, Step::Broken);
    check(u32::MAX >> 2, Step::Broken);
}

#[test]
fn the_end_of_what_the_verifier_says_is_one_line() {
    let check = |log: &[u8], expected: &str| assert_eq!(kernel::end_of_log(log), expected);
    check(b"", "");
    check(
        b"0: (b7) r1 = 1\nR1 invalid\nprocessed 1 insns\n\0\0\0",
        "0: (b7) r1 = 1; R1 invalid",
    );
    let long = vec![b'x'; 100_000];
    assert_eq!(kernel::end_of_log(&long).len(), 1_024);
}

/// Reads any bytes as types and looks for fields.
fn search(bytes: &[u8]) {
    fuzzing::btf(bytes);
}

proptest! {
    #[test]
    fn any_bytes_are_read_as_records_or_refused(bytes: Vec<u8>) {
        fuzzing::records(&bytes);
        search(&bytes);
    }

    #[test]
    fn types_that_were_changed_anywhere_never_lead_outside(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        length in any::<prop::sample::Index>(),
    ) {
        let mut bytes = Kernel::ALL[0].types();
        for (at, byte) in &changes {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        search(&bytes);
        bytes.truncate(length.index(bytes.len()));
        search(&bytes);
    }
}
