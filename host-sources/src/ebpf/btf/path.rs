//! From a structure's name and a path of fields to a place in bytes: `signal_struct`, `live.counter`.
//!
//! A path is names with dots between, and `[3]` after one that is an array. Members of structures and
//! unions that have no name count as their owner's, as in C.

use super::{
    Btf, BtfError, DEPTH_MAX, Field, Kind, MEMBER_BYTES, POINTER_BYTES, Type, TypeId, no_type,
    u32_at,
};

/// A type at a place in the structure that was asked for.
#[derive(Clone, Copy)]
struct Place {
    id: TypeId,
    offset_bytes: u32,
}

/// Why a path leads nowhere; empty: there is no such field.
type Why = &'static str;

impl Btf<'_> {
    /// Where a field lies. `structure` is the name of a struct.
    pub(crate) fn field(&self, structure: &str, path: &str) -> Result<Field, BtfError> {
        let id = self
            .named(Kind::Struct, structure)
            .ok_or_else(|| no_type("structure", structure))?;
        let mut place = Place {
            id,
            offset_bytes: 0,
        };
        let no_field = |why| BtfError::NoField {
            structure: structure.to_owned(),
            path: path.to_owned(),
            why,
        };
        for step in path.split('.') {
            place = self.step(place, step).map_err(no_field)?;
        }
        let size_bytes = self.size_bytes(place.id, DEPTH_MAX);
        Ok(Field {
            offset_bytes: place.offset_bytes,
            size_bytes: size_bytes.ok_or_else(|| no_field(" of a size that is known"))?,
        })
    }

    /// The tracepoints and structures differ from kernel to kernel: the first of several paths that this
    /// one has.
    pub(crate) fn first_field(
        &self,
        structure: &str,
        paths: &[&'static str],
    ) -> Result<(&'static str, Field), BtfError> {
        let mut first_error = None;
        for path in paths {
            match self.field(structure, path) {
                Ok(field) => return Ok((path, field)),
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        Err(first_error.unwrap_or_else(|| no_type("structure", structure)))
    }

    fn step(&self, place: Place, step: &str) -> Result<Place, Why> {
        let (name, index) = match step.split_once('[') {
            Some((name, rest)) => {
                let index = rest.strip_suffix(']').and_then(|index| index.parse().ok());
                (name, Some(index.ok_or(", for its index is no number")?))
            }
            None => (step, None),
        };
        let member = self.member(place, name, DEPTH_MAX)?;
        match index {
            Some(index) => self.element(member, index),
            None => Ok(member),
        }
    }

    fn element(&self, place: Place, index: u32) -> Result<Place, Why> {
        let (_, array) = self.resolved(place.id).ok_or("")?;
        let of = u32_at(self.types, array.tail).filter(|_| array.kind == Kind::Array);
        let count = u32_at(self.types, array.tail.saturating_add(8));
        let (Some(of), Some(count)) = (of, count) else {
            return Err(", for it is no array");
        };
        if index >= count {
            return Err(", for the array is shorter");
        }
        let size_bytes = self.size_bytes(TypeId(of), DEPTH_MAX).ok_or("")?;
        let before = size_bytes.checked_mul(index).ok_or("")?;
        Ok(Place {
            id: TypeId(of),
            offset_bytes: place.offset_bytes.checked_add(before).ok_or("")?,
        })
    }

    /// The member of that name, also within members that have none.
    fn member(&self, place: Place, name: &str, depth_left: u32) -> Result<Place, Why> {
        let depth_left = depth_left.checked_sub(1).ok_or(", for it lies too deep")?;
        let (_, owner) = self.resolved(place.id).ok_or("")?;
        if !matches!(owner.kind, Kind::Struct | Kind::Union) {
            return Err(", for its owner is no structure");
        }
        for index in 0..owner.members {
            let at = owner.tail.checked_add(index * MEMBER_BYTES).ok_or("")?;
            let number = |index: usize| u32_at(self.types, at.checked_add(4 * index)?);
            let (Some(member_name), Some(id), Some(bits)) = (number(0), number(1), number(2))
            else {
                return Err("");
            };
            let is_bit_field = owner.has_bit_sizes && bits >> 24 != 0;
            let offset_bits = if owner.has_bit_sizes {
                bits & 0x00ff_ffff
            } else {
                bits
            };
            let here = Place {
                id: TypeId(id),
                offset_bytes: place.offset_bytes.checked_add(offset_bits / 8).ok_or("")?,
            };
            if self.is_called(member_name, name) {
                return match is_bit_field || offset_bits % 8 != 0 {
                    true => Err(" of whole bytes"),
                    false => Ok(here),
                };
            }
            if self.is_called(member_name, "")
                && let Ok(found) = self.member(here, name, depth_left)
            {
                return Ok(found);
            }
        }
        Err("")
    }

    /// The type itself, behind other names for it.
    fn resolved(&self, mut id: TypeId) -> Option<(TypeId, Type)> {
        for _ in 0..DEPTH_MAX {
            let found = self.get(id)?;
            match found.kind {
                Kind::Typedef | Kind::Volatile | Kind::Const | Kind::Restrict | Kind::TypeTag => {
                    id = TypeId(found.size_or_type);
                }
                _ => return Some((id, found)),
            }
        }
        None
    }

    fn size_bytes(&self, id: TypeId, depth_left: u32) -> Option<u32> {
        let depth_left = depth_left.checked_sub(1)?;
        let (_, found) = self.resolved(id)?;
        match found.kind {
            Kind::Int | Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64 | Kind::Float => {
                Some(found.size_or_type)
            }
            Kind::Pointer => Some(POINTER_BYTES),
            Kind::Array => {
                let of = TypeId(u32_at(self.types, found.tail)?);
                let count = u32_at(self.types, found.tail.checked_add(8)?)?;
                self.size_bytes(of, depth_left)?.checked_mul(count)
            }
            _ => None,
        }
    }
}
