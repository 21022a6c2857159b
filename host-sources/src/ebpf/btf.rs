//! The kernel's description of its own types: the BPF Type Format, `/sys/kernel/btf/vmlinux`.
//!
//! Bytes in, numbers out: nothing is read from the system here. The invariant: every place is checked
//! against the bytes before it is read, nesting and chains of types end at a bound, and whatever the
//! bytes are, the answer is a type, a field or an error. Format: the kernel's `Documentation/bpf/btf.rst`.

mod path;

use std::fmt;

/// The first two bytes of the format.
const MAGIC: u16 = 0xeb9f;
/// Bytes of the header that this reads; a longer one is passed over.
const HEADER_BYTES: usize = 24;
/// Bytes of a type, before what its kind adds.
const TYPE_BYTES: usize = 12;
/// Bytes of a member of a structure.
const MEMBER_BYTES: usize = 12;
/// Types of one kernel: a large one has 200,000.
const TYPES_MAX: usize = 4 << 20;
/// Names for a type, and structures within structures, that are followed: kernels have five.
const DEPTH_MAX: u32 = 16;
/// Bytes of a pointer, whose type doesn't say.
const POINTER_BYTES: u32 = usize::BITS / 8;

/// What a type is; the numbers are the format's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A number.
    Int = 1,
    /// A pointer.
    Pointer = 2,
    /// So many of another type.
    Array = 3,
    /// Members, one after another.
    Struct = 4,
    /// Members, all at one place.
    Union = 5,
    /// Named numbers.
    Enum = 6,
    /// A structure that is described nowhere.
    Forward = 7,
    /// Another name for a type.
    Typedef = 8,
    /// `volatile`.
    Volatile = 9,
    /// `const`.
    Const = 10,
    /// `restrict`.
    Restrict = 11,
    /// A function.
    Function = 12,
    /// What a function takes and gives.
    Prototype = 13,
    /// A variable.
    Variable = 14,
    /// A section of variables.
    DataSection = 15,
    /// A number with a fraction.
    Float = 16,
    /// A tag on a declaration.
    DeclarationTag = 17,
    /// A tag on a type.
    TypeTag = 18,
    /// Named numbers of 64 bits.
    Enum64 = 19,
}

impl Kind {
    const ALL: [Self; 19] = [
        Self::Int,
        Self::Pointer,
        Self::Array,
        Self::Struct,
        Self::Union,
        Self::Enum,
        Self::Forward,
        Self::Typedef,
        Self::Volatile,
        Self::Const,
        Self::Restrict,
        Self::Function,
        Self::Prototype,
        Self::Variable,
        Self::DataSection,
        Self::Float,
        Self::DeclarationTag,
        Self::TypeTag,
        Self::Enum64,
    ];

    fn of(info: u32) -> Option<Self> {
        let number = info >> 24 & 0x1f;
        Self::ALL.into_iter().find(|kind| *kind as u32 == number)
    }

    /// Bytes that follow a type of this kind with so many members.
    const fn bytes_after(self, members: usize) -> usize {
        match self {
            Self::Int | Self::Variable | Self::DeclarationTag => 4,
            Self::Array => 12,
            Self::Struct | Self::Union | Self::DataSection | Self::Enum64 => members * MEMBER_BYTES,
            Self::Enum | Self::Prototype => members * 8,
            _ => 0,
        }
    }
}

/// Why types can't be read, or what isn't among them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BtfError {
    /// The bytes aren't types.
    #[error("this kernel's types (BTF) can't be read: {what} at byte {at}")]
    Malformed {
        /// What is wrong.
        what: &'static str,
        /// Where, counted from the first byte of the section.
        at: usize,
    },
    /// There is no type of that name.
    #[error("this kernel has no {kind} `{name}`")]
    NoType {
        /// What was looked for.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The structure has no such field, or none that can be loaded.
    #[error("this kernel's `{structure}` has no field `{path}`{why}")]
    NoField {
        /// The structure.
        structure: String,
        /// The field, as it was asked for.
        path: String,
        /// Why not, where the field is there.
        why: &'static str,
    },
}

/// Where a field lies in its structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    /// Bytes before it.
    pub(crate) offset_bytes: u32,
    /// Bytes of it.
    pub(crate) size_bytes: u32,
}

/// A type's number, which is what the kernel calls it by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TypeId(pub(crate) u32);

impl fmt::Debug for TypeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// A type as it stands in the bytes.
#[derive(Clone, Copy)]
struct Type {
    name: u32,
    kind: Kind,
    members: usize,
    /// Whether members' places also say how many bits they have.
    has_bit_sizes: bool,
    /// Bytes, or the type that it is about.
    size_or_type: u32,
    /// Where what its kind adds begins.
    tail: usize,
}

/// The types of one kernel.
pub(crate) struct Btf<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    /// Where each type begins; the first is type 1, for type 0 is `void`.
    starts: Vec<u32>,
}

impl<'a> Btf<'a> {
    /// Checks the header, and finds where each type begins.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, BtfError> {
        let malformed = |what, at| BtfError::Malformed { what, at };
        let header = bytes
            .get(..HEADER_BYTES)
            .ok_or(malformed("no header", bytes.len()))?;
        let magic = header.first_chunk().map(|magic| u16::from_ne_bytes(*magic));
        if magic != Some(MAGIC) {
            return Err(malformed("not BTF of this machine's byte order", 0));
        }
        let number = |at| usize_at(header, at).ok_or(malformed("no header", at));
        let body = bytes.get(number(4)?..);
        let section = |offset_at: usize| {
            let (offset, length) = (number(offset_at)?, number(offset_at + 4)?);
            body.and_then(|body| body.get(offset..)?.get(..length))
                .ok_or(malformed("a section outside of the bytes", offset_at))
        };
        let (types, strings) = (section(8)?, section(16)?);
        let mut starts = Vec::with_capacity(types.len() / 32);
        let mut at = 0;
        while at < types.len() {
            let found = type_at(types, at).ok_or(malformed("half a type", at))?;
            if starts.len() >= TYPES_MAX {
                return Err(malformed("more types than any kernel has", at));
            }
            starts.push(u32::try_from(at).map_err(|_| malformed("too many types", at))?);
            at = found
                .tail
                .checked_add(found.kind.bytes_after(found.members))
                .filter(|end| *end <= types.len())
                .ok_or(malformed("half a type", at))?;
        }
        Ok(Self {
            types,
            strings,
            starts,
        })
    }

    /// The function of that name.
    pub(crate) fn function(&self, name: &str) -> Result<TypeId, BtfError> {
        self.named(Kind::Function, name)
            .ok_or_else(|| no_type("function", name))
    }

    /// The type of the tracepoint `name`, as programs are attached to it, and how many arguments it has.
    pub(crate) fn tracepoint(&self, name: &str) -> Result<(TypeId, usize), BtfError> {
        let typedef = format!("btf_trace_{name}");
        let missing = || no_type("tracepoint", name);
        let id = self.named(Kind::Typedef, &typedef).ok_or_else(missing)?;
        let pointer = self.get(id).ok_or_else(missing)?;
        let function = self.get(TypeId(pointer.size_or_type)).ok_or_else(missing)?;
        let prototype = self
            .get(TypeId(function.size_or_type))
            .filter(|prototype| prototype.kind == Kind::Prototype)
            .ok_or_else(missing)?;
        // The first is the kernel's own.
        Ok((id, prototype.members.saturating_sub(1)))
    }

    fn named(&self, kind: Kind, name: &str) -> Option<TypeId> {
        let found = self.starts.iter().position(|start| {
            self.at(*start)
                .is_some_and(|found| found.kind == kind && self.is_called(found.name, name))
        })?;
        Some(TypeId(u32::try_from(found).ok()?.checked_add(1)?))
    }

    fn get(&self, id: TypeId) -> Option<Type> {
        let index = usize::try_from(id.0.checked_sub(1)?).ok()?;
        self.at(*self.starts.get(index)?)
    }

    fn at(&self, start: u32) -> Option<Type> {
        type_at(self.types, usize::try_from(start).ok()?)
    }

    fn is_called(&self, offset: u32, name: &str) -> bool {
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|offset| self.strings.get(offset..))
            .and_then(|rest| rest.strip_prefix(name.as_bytes()));
        rest.is_some_and(|rest| rest.first() == Some(&0))
    }
}

fn no_type(kind: &'static str, name: &str) -> BtfError {
    BtfError::NoType {
        kind,
        name: name.to_owned(),
    }
}

fn type_at(types: &[u8], at: usize) -> Option<Type> {
    let info = u32_at(types, at.checked_add(4)?)?;
    Some(Type {
        name: u32_at(types, at)?,
        kind: Kind::of(info)?,
        members: usize::try_from(info & 0xffff).ok()?,
        has_bit_sizes: info >> 31 == 1,
        size_or_type: u32_at(types, at.checked_add(8)?)?,
        tail: at.checked_add(TYPE_BYTES)?,
    })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*four))
}

fn usize_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32_at(bytes, at)?).ok()
}
