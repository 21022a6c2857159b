//! A machine that runs programs without a kernel: memory of its own, and stand-ins for what the kernel does.
//!
//! The stand-ins are called with addresses, as the kernel's are, so that they need `unsafe`.
#![expect(
    unsafe_code,
    reason = "stand-ins for the kernel's functions are given addresses"
)]

use std::cell::RefCell;

use super::super::assembler::Helper;
use super::super::btf::Btf;

/// What the clock says.
pub(super) const NOW_NS: u64 = 123_456;
/// The cookie of every socket.
pub(super) const COOKIE: u64 = 0x1_0000_0001;

/// What the kernel would have.
#[derive(Default)]
struct World {
    written: Vec<Vec<u8>>,
    flags: Vec<u64>,
    waiting_bytes: u64,
    is_full: bool,
    /// The thread that runs, by its place.
    thread: u64,
    /// The socket of every file, by its place.
    socket: u64,
    /// Maps of one value, by descriptor.
    values: Vec<(u64, Box<[u64]>)>,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
}

/// A program, and memory for what it looks at.
pub(super) struct Machine {
    program: Vec<u8>,
    /// Each stays where it is until the machine is gone.
    memory: Vec<Box<[u64]>>,
}

impl Machine {
    pub(super) fn new(program: &[u64]) -> Self {
        WORLD.with_borrow_mut(|world| *world = World::default());
        Self {
            program: program.iter().flat_map(|word| word.to_ne_bytes()).collect(),
            memory: Vec::new(),
        }
    }

    /// The place of so many zeros.
    pub(super) fn allocate(&mut self, bytes: usize) -> u64 {
        self.memory
            .push(vec![0; bytes.div_ceil(8)].into_boxed_slice());
        let place = self.memory.last_mut().unwrap();
        place.as_mut_ptr().expose_provenance() as u64
    }

    pub(super) fn write(&mut self, at: u64, bytes: &[u8]) {
        for (index, byte) in bytes.iter().enumerate() {
            let (place, offset) = self.place(at + index as u64);
            let mut word = place[offset / 8].to_ne_bytes();
            word[offset % 8] = *byte;
            place[offset / 8] = u64::from_ne_bytes(word);
        }
    }

    fn read(&mut self, at: u64, bytes: usize) -> Vec<u8> {
        (0..bytes as u64)
            .map(|index| {
                let (place, offset) = self.place(at + index);
                place[offset / 8].to_ne_bytes()[offset % 8]
            })
            .collect()
    }

    /// The piece of memory that an address is in, and where.
    fn place(&mut self, at: u64) -> (&mut [u64], usize) {
        let piece = self.memory.iter_mut().find_map(|piece| {
            let start = piece.as_ptr().addr() as u64;
            let offset = usize::try_from(at.checked_sub(start)?).ok()?;
            (offset < piece.len() * 8).then_some((&mut **piece, offset))
        });
        piece.unwrap()
    }

    pub(super) fn set(&mut self, btf: &Btf<'_>, at: u64, field: (&str, &str), value: u64) {
        let field = btf.field(field.0, field.1).unwrap();
        let value = value.to_le_bytes();
        let size = usize::try_from(field.size_bytes).unwrap();
        self.write(at + u64::from(field.offset_bytes), &value[..size]);
    }

    pub(super) fn get(&mut self, btf: &Btf<'_>, at: u64, field: (&str, &str)) -> u64 {
        let field = btf.field(field.0, field.1).unwrap();
        let bytes = self.read(at + u64::from(field.offset_bytes), 8);
        u64::from_ne_bytes(bytes.try_into().unwrap())
    }

    pub(super) fn set_scratch(&mut self, map: i32, bytes: usize) {
        let value = vec![0; bytes.div_ceil(8)].into_boxed_slice();
        WORLD.with_borrow_mut(|world| world.values.push((u64::try_from(map).unwrap(), value)));
    }

    pub(super) fn set_value(&mut self, map: i32, numbers: &[u64]) {
        let value = (u64::try_from(map).unwrap(), numbers.into());
        WORLD.with_borrow_mut(|world| world.values.push(value));
    }

    pub(super) fn set_losses(&mut self, map: i32) {
        self.set_scratch(map, 24);
    }

    pub(super) fn losses(&self) -> Vec<u64> {
        WORLD.with_borrow(|world| world.values[0].1.to_vec())
    }

    pub(super) fn set_waiting(&mut self, bytes: u64) {
        WORLD.with_borrow_mut(|world| world.waiting_bytes = bytes);
    }

    pub(super) fn set_full(&mut self) {
        WORLD.with_borrow_mut(|world| world.is_full = true);
    }

    pub(super) fn set_thread(&mut self, thread: u64) {
        WORLD.with_borrow_mut(|world| world.thread = thread);
    }

    pub(super) fn set_socket(&mut self, socket: u64) {
        WORLD.with_borrow_mut(|world| world.socket = socket);
    }

    /// What the program has written since this was asked last.
    pub(super) fn written(&self) -> Vec<Vec<u8>> {
        WORLD.with_borrow_mut(|world| std::mem::take(&mut world.written))
    }

    /// With which flags.
    pub(super) fn flags(&self) -> Vec<u64> {
        WORLD.with_borrow_mut(|world| std::mem::take(&mut world.flags))
    }

    /// Runs with what lies at an address as the context.
    pub(super) fn run_at(&mut self, context: u64) {
        let mut context = self.read(context, 32);
        self.run(&mut context);
    }

    /// Runs with these bytes as the context.
    pub(super) fn run(&self, context: &mut [u8]) -> u64 {
        let mut machine = rbpf::EbpfVmRaw::new(Some(&self.program)).unwrap();
        let helpers: [(Helper, rbpf::ebpf::Helper); 10] = [
            (Helper::MapLookup, map_lookup),
            (Helper::ProbeReadUser, probe_read),
            (Helper::ProbeReadKernelText, probe_read_text),
            (Helper::BootNs, boot_ns),
            (Helper::SequenceWrite, sequence_write),
            (Helper::RingOutput, ring_output),
            (Helper::RingQuery, ring_query),
            (Helper::CurrentThread, current_thread),
            (Helper::SocketOfFile, socket_of_file),
            (Helper::SocketCookie, socket_cookie),
        ];
        for (helper, stand_in) in helpers {
            machine.register_helper(helper as u32, stand_in).unwrap();
        }
        let mut allow = |place: &[u64]| {
            let start = place.as_ptr().addr() as u64;
            machine.register_allowed_memory(start..start + 8 * place.len() as u64);
        };
        self.memory.iter().for_each(|place| allow(place));
        WORLD.with_borrow(|world| world.values.iter().for_each(|(_, place)| allow(place)));
        machine.execute_program(context).unwrap()
    }
}

fn bytes_at(at: u64, bytes: u64) -> Vec<u8> {
    let place = std::ptr::with_exposed_provenance(usize::try_from(at).unwrap());
    // SAFETY: programs hand over places on their stack or in a map, which live while they run, and lengths that
    // their own checks bound; a program that doesn't is what these tests are to find.
    unsafe { std::slice::from_raw_parts(place, usize::try_from(bytes).unwrap()) }.to_vec()
}

fn write_at(at: u64, bytes: &[u8]) {
    let place = std::ptr::with_exposed_provenance_mut(usize::try_from(at).unwrap());
    // SAFETY: as for `bytes_at`; the place is in a map's value, which nobody borrows while a program runs.
    unsafe { std::slice::from_raw_parts_mut(place, bytes.len()) }.copy_from_slice(bytes);
}

fn map_lookup(map: u64, key: u64, _: u64, _: u64, _: u64) -> u64 {
    assert_eq!(bytes_at(key, 4), [0; 4]);
    WORLD.with_borrow_mut(|world| {
        let found = world.values.iter_mut().find(|(fd, _)| *fd == map);
        found.map_or(0, |(_, value)| {
            value.as_mut_ptr().expose_provenance() as u64
        })
    })
}

fn probe_read(to: u64, bytes: u64, from: u64, _: u64, _: u64) -> u64 {
    write_at(to, &bytes_at(from, bytes));
    0
}

fn probe_read_text(to: u64, bytes_max: u64, from: u64, _: u64, _: u64) -> u64 {
    let text = bytes_at(from, bytes_max);
    let end = text.iter().position(|byte| *byte == 0).unwrap() + 1;
    write_at(to, &text[..end]);
    end as u64
}

fn boot_ns(_: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    NOW_NS
}

fn sequence_write(_: u64, data: u64, bytes: u64, _: u64, _: u64) -> u64 {
    let written = bytes_at(data, bytes);
    WORLD.with_borrow_mut(|world| world.written.push(written));
    0
}

fn ring_output(_: u64, data: u64, bytes: u64, flags: u64, _: u64) -> u64 {
    let written = bytes_at(data, bytes);
    WORLD.with_borrow_mut(|world| {
        if world.is_full {
            return (-11_i64).cast_unsigned();
        }
        world.written.push(written);
        world.flags.push(flags);
        0
    })
}

fn ring_query(_: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    WORLD.with_borrow(|world| world.waiting_bytes)
}

fn current_thread(_: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    WORLD.with_borrow(|world| world.thread)
}

fn socket_of_file(file: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    assert_ne!(file, 0);
    WORLD.with_borrow(|world| world.socket)
}

fn socket_cookie(socket: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    assert_ne!(socket, 0);
    COOKIE
}
