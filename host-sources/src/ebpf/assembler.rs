//! A small assembler: instructions with named registers, labels, and the kernel's fields by name.
//!
//! It knows the encoding (RFC 9669) and nothing of what programs do; whether a program is safe is for
//! the kernel's verifier to say. The invariant: a finished program has no label without a place, and no
//! number that didn't fit.

mod instruction;

use super::btf::{Btf, BtfError};
use instruction::{
    CLASS_ARITHMETIC, CLASS_JUMP, CLASS_LOAD, CLASS_LOAD_NUMBER, CLASS_STORE, CLASS_STORE_NUMBER,
    DO_ADD, DO_AND, DO_CALL, DO_EXIT, DO_JUMP, DO_MOVE, DO_SHIFT_LEFT, DO_SUBTRACT, DO_XOR,
    Instruction, MODE_MEMORY, NUMBER_IS_MAP, parts,
};
pub(crate) use instruction::{Helper, If, Operand, Register, Width};

/// Instructions that a kernel loads without a question asked; ours have some hundred.
const INSTRUCTIONS_MAX: usize = 4_096;

/// A place in the program, which may be bound after it was named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label(usize);

/// Why a program can't be put together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AssembleError {
    /// A structure or a field isn't there.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// A field that can't be loaded at once.
    #[error("`{structure}.{path}` has {bytes} bytes: only 1, 2, 4 or 8 are loaded at once")]
    Width {
        /// The structure.
        structure: &'static str,
        /// The field.
        path: &'static str,
        /// Its bytes.
        bytes: u32,
    },
    /// A place that an instruction has no room for.
    #[error("an instruction reaches {distance} bytes or instructions far: 32,767 is the most")]
    TooFar {
        /// How far.
        distance: i64,
    },
    /// A jump to a label that stands nowhere.
    #[error("a jump leads to a label that stands nowhere")]
    Unbound,
    /// More instructions than a kernel takes.
    #[error("a program has more than {INSTRUCTIONS_MAX} instructions")]
    TooLong,
}

/// Puts a program together, instruction by instruction.
///
/// What can go wrong with one is kept, and told by [`Self::finish`], so that programs read as such.
pub(crate) struct Assembler<'a> {
    btf: &'a Btf<'a>,
    instructions: Vec<Instruction>,
    /// Where each label stands.
    labels: Vec<Option<usize>>,
    /// Jumps, by place, and where they lead.
    jumps: Vec<(usize, Label)>,
    error: Option<AssembleError>,
}

impl<'a> Assembler<'a> {
    /// An empty program for the kernel with these types.
    pub(crate) fn new(btf: &'a Btf<'a>) -> Self {
        Self {
            btf,
            instructions: Vec::new(),
            labels: Vec::new(),
            jumps: Vec::new(),
            error: None,
        }
    }

    /// `destination = operand`.
    pub(crate) fn set(&mut self, destination: Register, operand: impl Into<Operand>) {
        self.arithmetic(DO_MOVE, destination, operand.into());
    }

    /// `destination += operand`.
    pub(crate) fn add(&mut self, destination: Register, operand: impl Into<Operand>) {
        self.arithmetic(DO_ADD, destination, operand.into());
    }

    /// `destination -= operand`.
    pub(crate) fn subtract(&mut self, destination: Register, operand: impl Into<Operand>) {
        self.arithmetic(DO_SUBTRACT, destination, operand.into());
    }

    /// `destination &= operand`.
    pub(crate) fn and(&mut self, destination: Register, operand: impl Into<Operand>) {
        self.arithmetic(DO_AND, destination, operand.into());
    }

    /// `destination ^= operand`.
    pub(crate) fn xor(&mut self, destination: Register, operand: impl Into<Operand>) {
        self.arithmetic(DO_XOR, destination, operand.into());
    }

    /// `destination <<= operand`.
    pub(crate) fn shift_left(&mut self, destination: Register, operand: impl Into<Operand>) {
        self.arithmetic(DO_SHIFT_LEFT, destination, operand.into());
    }

    /// `destination` = the place `offset` bytes after `base`, which may be below it.
    pub(crate) fn set_to_place(&mut self, destination: Register, base: Register, offset: i32) {
        self.set(destination, base);
        self.add(destination, offset);
    }

    /// `destination` = what lies `offset` bytes after `base`.
    pub(crate) fn load(
        &mut self,
        width: Width,
        destination: Register,
        base: Register,
        offset: i32,
    ) {
        self.memory(
            CLASS_LOAD,
            width,
            destination,
            Operand::Register(base),
            offset,
        );
    }

    /// `destination` = the field of the structure at `base`.
    pub(crate) fn load_field(
        &mut self,
        destination: Register,
        base: Register,
        structure: &'static str,
        path: &'static str,
    ) {
        self.load_part(destination, base, structure, path, None);
    }

    /// `destination` = eight bytes of a field of several, from the byte `from` on.
    pub(crate) fn load_double_of(
        &mut self,
        destination: Register,
        base: Register,
        (structure, path): (&'static str, &'static str),
        from: i32,
    ) {
        self.load_part(destination, base, structure, path, Some(from));
    }

    fn load_part(
        &mut self,
        destination: Register,
        base: Register,
        structure: &'static str,
        path: &'static str,
        double_from: Option<i32>,
    ) {
        let field = match self.btf.field(structure, path) {
            Ok(field) => field,
            Err(error) => return self.note(error.into()),
        };
        let fits = |from: i32| i64::from(from) + 8 <= i64::from(field.size_bytes);
        let (width, from) = match double_from {
            Some(from) => (Some(Width::Double).filter(|_| fits(from)), from),
            None => (Width::of_bytes(field.size_bytes), 0),
        };
        let Some(width) = width else {
            return self.note(AssembleError::Width {
                structure,
                path,
                bytes: field.size_bytes,
            });
        };
        let offset = i32::try_from(i64::from(field.offset_bytes) + i64::from(from));
        // What has no room here has none in an instruction either.
        self.load(width, destination, base, offset.unwrap_or(i32::MAX));
    }

    /// What lies `offset` bytes after `base` = `value`.
    pub(crate) fn store(
        &mut self,
        width: Width,
        base: Register,
        offset: i32,
        value: impl Into<Operand>,
    ) {
        let value = value.into();
        let class = match value {
            Operand::Register(_) => CLASS_STORE,
            Operand::Number(_) => CLASS_STORE_NUMBER,
        };
        self.memory(class, width, base, value, offset);
    }

    /// `destination` = the map of that descriptor.
    pub(crate) fn set_to_map(&mut self, destination: Register, descriptor: i32) {
        self.push(Instruction {
            opcode: CLASS_LOAD_NUMBER | Width::Double.code(),
            destination: destination as u8,
            source: NUMBER_IS_MAP,
            offset: 0,
            number: descriptor,
        });
        // The number's upper half is an instruction of its own.
        self.push(Instruction::default());
    }

    /// Calls: arguments in `R1` to `R5`, which are lost, and the answer in `R0`.
    pub(crate) fn call(&mut self, helper: Helper) {
        self.push(Instruction {
            opcode: CLASS_JUMP | DO_CALL,
            number: helper as i32,
            ..Instruction::default()
        });
    }

    /// A label that has no place yet.
    pub(crate) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// The label stands here.
    pub(crate) fn bind(&mut self, label: Label) {
        let here = self.instructions.len();
        if let Some(place) = self.labels.get_mut(label.0) {
            *place = Some(here);
        }
    }

    /// Goes on at the label.
    pub(crate) fn jump(&mut self, label: Label) {
        self.jumps.push((self.instructions.len(), label));
        self.push(Instruction {
            opcode: CLASS_JUMP | DO_JUMP,
            ..Instruction::default()
        });
    }

    /// Goes on at the label if the register compares so with the operand.
    pub(crate) fn jump_if(
        &mut self,
        condition: If,
        register: Register,
        operand: impl Into<Operand>,
        label: Label,
    ) {
        self.jumps.push((self.instructions.len(), label));
        let (flag, source, number) = parts(operand.into());
        self.push(Instruction {
            opcode: CLASS_JUMP | condition as u8 | flag,
            destination: register as u8,
            source,
            offset: 0,
            number,
        });
    }

    /// Ends the program with the answer 0.
    pub(crate) fn end(&mut self) {
        self.set(Register::R0, 0);
        self.push(Instruction {
            opcode: CLASS_JUMP | DO_EXIT,
            ..Instruction::default()
        });
    }

    /// The program, as the kernel takes it.
    ///
    /// # Errors
    /// The first thing that went wrong.
    pub(crate) fn finish(mut self) -> Result<Vec<u64>, AssembleError> {
        for (at, label) in std::mem::take(&mut self.jumps) {
            let target = self.labels.get(label.0).copied().flatten();
            let target = target.ok_or(AssembleError::Unbound)?;
            // Counted from the instruction after the jump.
            let distance = i64::try_from(target).unwrap_or(i64::MAX)
                - i64::try_from(at).unwrap_or(i64::MAX)
                - 1;
            let offset = i16::try_from(distance);
            let offset = offset.map_err(|_| AssembleError::TooFar { distance })?;
            if let Some(jump) = self.instructions.get_mut(at) {
                jump.offset = offset;
            }
        }
        if let Some(error) = self.error {
            return Err(error);
        }
        Ok(self
            .instructions
            .into_iter()
            .map(Instruction::encode)
            .collect())
    }

    fn arithmetic(&mut self, operation: u8, destination: Register, operand: Operand) {
        let (flag, source, number) = parts(operand);
        self.push(Instruction {
            opcode: CLASS_ARITHMETIC | operation | flag,
            destination: destination as u8,
            source,
            offset: 0,
            number,
        });
    }

    fn memory(
        &mut self,
        class: u8,
        width: Width,
        destination: Register,
        operand: Operand,
        offset: i32,
    ) {
        let Ok(offset) = i16::try_from(offset) else {
            return self.note(AssembleError::TooFar {
                distance: i64::from(offset),
            });
        };
        let (_, source, number) = parts(operand);
        self.push(Instruction {
            opcode: class | MODE_MEMORY | width.code(),
            destination: destination as u8,
            source,
            offset,
            number,
        });
    }

    fn push(&mut self, instruction: Instruction) {
        if self.instructions.len() >= INSTRUCTIONS_MAX {
            return self.note(AssembleError::TooLong);
        }
        self.instructions.push(instruction);
    }

    fn note(&mut self, error: AssembleError) {
        self.error.get_or_insert(error);
    }
}
