//! Instructions, and what they are made of: registers, widths, conditions, calls; RFC 9669 has their encoding.
//!
//! It knows no program, and no kernel's types.

/// A register, by its number in the calling convention. No call here has a fifth argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Register {
    /// What a call answers, and the program's own answer.
    R0 = 0,
    /// The first argument of a call; the program's context when it begins.
    R1,
    /// The second argument of a call.
    R2,
    /// The third argument of a call.
    R3,
    /// The fourth argument of a call.
    R4,
    /// Kept across calls.
    R6 = 6,
    /// Kept across calls.
    R7,
    /// Kept across calls.
    R8,
    /// Kept across calls.
    R9,
    /// The end of the stack, which grows down from it.
    Frame,
}

/// How many bytes are loaded or stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    /// One.
    Byte,
    /// Two.
    Half,
    /// Four.
    Word,
    /// Eight.
    Double,
}

impl Width {
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Word => 0x00,
            Self::Half => 0x08,
            Self::Byte => 0x10,
            Self::Double => 0x18,
        }
    }

    pub(super) const fn of_bytes(bytes: u32) -> Option<Self> {
        match bytes {
            1 => Some(Self::Byte),
            2 => Some(Self::Half),
            4 => Some(Self::Word),
            8 => Some(Self::Double),
            _ => None,
        }
    }
}

/// What an instruction works with, besides its register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operand {
    /// Another register.
    Register(Register),
    /// A number, extended to 64 bits with its sign.
    Number(i32),
}

impl From<Register> for Operand {
    fn from(register: Register) -> Self {
        Self::Register(register)
    }
}

impl From<i32> for Operand {
    fn from(number: i32) -> Self {
        Self::Number(number)
    }
}

/// When to jump; all compare 64 bits without sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum If {
    /// The register is the operand.
    Equal = 0x10,
    /// The register is not the operand.
    NotEqual = 0x50,
    /// The register is less.
    Less = 0xa0,
    /// The register has one of the operand's bits.
    HasBits = 0x40,
}

/// The kernel's functions that programs call; the numbers are the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Helper {
    /// (map, key) → value or null.
    MapLookup = 1,
    /// (socket) → its cookie, which no other has; since 5.12.
    SocketCookie = 46,
    /// (destination, bytes, user address) → 0 or an error.
    ProbeReadUser = 112,
    /// (destination, bytes, kernel address) → bytes with the zero, or an error.
    ProbeReadKernelText = 115,
    /// () → ns since boot, with what was slept.
    BootNs = 125,
    /// (file, data, bytes) → 0 or an error.
    SequenceWrite = 127,
    /// (ring, data, bytes, flags) → 0 or an error.
    RingOutput = 130,
    /// (ring, what) → a number.
    RingQuery = 134,
    /// () → the thread that runs, as a structure; since 5.11.
    CurrentThread = 158,
    /// (file) → its socket or null; since 5.11.
    SocketOfFile = 162,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Instruction {
    pub(super) opcode: u8,
    pub(super) destination: u8,
    pub(super) source: u8,
    pub(super) offset: i16,
    pub(super) number: i32,
}

impl Instruction {
    pub(super) fn encode(self) -> u64 {
        let registers = if cfg!(target_endian = "little") {
            self.source << 4 | self.destination
        } else {
            self.destination << 4 | self.source
        };
        let [offset_0, offset_1] = self.offset.to_ne_bytes();
        let [number_0, number_1, number_2, number_3] = self.number.to_ne_bytes();
        u64::from_ne_bytes([
            self.opcode,
            registers,
            offset_0,
            offset_1,
            number_0,
            number_1,
            number_2,
            number_3,
        ])
    }
}

pub(super) const CLASS_LOAD_NUMBER: u8 = 0x00;
pub(super) const CLASS_LOAD: u8 = 0x01;
pub(super) const CLASS_STORE_NUMBER: u8 = 0x02;
pub(super) const CLASS_STORE: u8 = 0x03;
pub(super) const CLASS_JUMP: u8 = 0x05;
pub(super) const CLASS_ARITHMETIC: u8 = 0x07;
pub(super) const MODE_MEMORY: u8 = 0x60;
pub(super) const SOURCE_REGISTER: u8 = 0x08;
pub(super) const DO_ADD: u8 = 0x00;
pub(super) const DO_SUBTRACT: u8 = 0x10;
pub(super) const DO_AND: u8 = 0x50;
pub(super) const DO_SHIFT_LEFT: u8 = 0x60;
pub(super) const DO_XOR: u8 = 0xa0;
pub(super) const DO_MOVE: u8 = 0xb0;
pub(super) const DO_JUMP: u8 = 0x00;
pub(super) const DO_CALL: u8 = 0x80;
pub(super) const DO_EXIT: u8 = 0x90;
/// The number is a map's descriptor: `BPF_PSEUDO_MAP_FD`.
pub(super) const NUMBER_IS_MAP: u8 = 1;

/// The flag, the register and the number that an operand makes of an instruction.
pub(super) fn parts(operand: Operand) -> (u8, u8, i32) {
    match operand {
        Operand::Register(register) => (SOURCE_REGISTER, register as u8, 0),
        Operand::Number(number) => (0, 0, number),
    }
}
