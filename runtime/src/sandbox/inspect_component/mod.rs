//! What a component is, read from the names that it imports and exports, before anything of it is
//! compiled or run.
//!
//! Reads the outermost layer of the binary only: nested modules and components are skipped, not
//! parsed. It judges names, not types; a wrong type behind a right name is found by the linker, and
//! invalid code by the compiler's process.

use wasmparser::{
    Chunk, ComponentExport, ComponentImport, ComponentTypeRef, Parser, Payload, SectionLimited,
    TypeBounds,
};

pub use shape::{Besides, ShapeError, World};
use shape::{judge_exports, judge_imports, shown_words};

mod shape;

/// Imports and exports that a component may have: ours have about ten, a language's toolchain adds
/// about twenty.
const NAMES_MAX: usize = 1_000;

/// The names at a component's border.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interfaces {
    /// What it imports, in its order.
    pub imports: Vec<String>,
    /// What it exports, in its order.
    pub exports: Vec<String>,
}

/// What a component that Weir can load is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The one world that it is of.
    pub world: World,
    /// What it exports besides its world.
    pub besides: Besides,
    /// Its names.
    pub interfaces: Interfaces,
}

impl Interfaces {
    /// Reads the names; nothing is judged but that they can be read.
    ///
    /// # Errors
    ///
    /// [`ShapeError::Malformed`] where the binary breaks off or breaks its format,
    /// [`ShapeError::TooManyNames`].
    pub fn read(component: &[u8]) -> Result<Self, ShapeError> {
        let mut names = Self::default();
        let mut parser = Parser::new(0);
        let mut rest = component;
        loop {
            let (consumed, payload) = match parser.parse(rest, true).map_err(malformed)? {
                Chunk::Parsed { consumed, payload } => (consumed, payload),
                Chunk::NeedMoreData(_) => return Err(broken_off(component)),
            };
            rest = rest.get(consumed..).ok_or_else(|| broken_off(component))?;
            match payload {
                Payload::ModuleSection {
                    unchecked_range, ..
                }
                | Payload::ComponentSection {
                    unchecked_range, ..
                } => {
                    let nested = unchecked_range.len();
                    rest = rest.get(nested..).ok_or_else(|| broken_off(component))?;
                }
                Payload::ComponentImportSection(section) => names.add_imports(section)?,
                Payload::ComponentExportSection(section) => names.add_exports(section)?,
                Payload::End(_) => return Ok(names),
                _ => {}
            }
        }
    }

    /// Which world it is, if it is one that Weir can load.
    ///
    /// # Errors
    ///
    /// Each [`ShapeError`] names the import or export that is wrong, and what would be right.
    pub fn shape(self) -> Result<Shape, ShapeError> {
        let (world, besides) = judge_exports(&self.exports)?;
        judge_imports(&self.imports, world)?;
        Ok(Shape {
            world,
            besides,
            interfaces: self,
        })
    }

    fn add_imports<'a>(
        &mut self,
        section: SectionLimited<'a, ComponentImport<'a>>,
    ) -> Result<(), ShapeError> {
        for import in section {
            let import = import.map_err(malformed)?;
            // `use`d types stand beside the interfaces that they come from, and are only names for them.
            if !matches!(import.ty, ComponentTypeRef::Type(TypeBounds::Eq(_))) {
                add(&mut self.imports, import.name.name)?;
            }
        }
        Ok(())
    }

    fn add_exports<'a>(
        &mut self,
        section: SectionLimited<'a, ComponentExport<'a>>,
    ) -> Result<(), ShapeError> {
        for export in section {
            add(&mut self.exports, export.map_err(malformed)?.name.name)?;
        }
        Ok(())
    }
}

/// Reads the names of a component and judges them.
///
/// # Errors
///
/// Those of [`Interfaces::read`] and [`Interfaces::shape`].
pub(super) fn inspect(component: &[u8]) -> Result<Shape, ShapeError> {
    Interfaces::read(component)?.shape()
}

fn add(names: &mut Vec<String>, name: &str) -> Result<(), ShapeError> {
    if names.len() >= NAMES_MAX {
        return Err(ShapeError::TooManyNames {
            names_max: NAMES_MAX,
        });
    }
    names.push(name.to_owned());
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn malformed(error: wasmparser::BinaryReaderError) -> ShapeError {
    ShapeError::Malformed {
        offset: error.offset(),
        message: shown_words(error.message()),
    }
}

fn broken_off(component: &[u8]) -> ShapeError {
    ShapeError::Malformed {
        offset: component.len(),
        message: "it breaks off".to_owned(),
    }
}

#[cfg(test)]
mod tests;
