//! `columns!`: the columns of a kind that a guest reads, declared once.
//!
//! Names and types stand in one place; from it come what `init` asks for, the typed columns that a
//! call fetches, and the row view: an accessor a column, resolved when the guest is compiled.

/// The column type of a field's type.
#[doc(hidden)]
#[macro_export]
macro_rules! __column {
    (text) => { $crate::TextColumn };
    (texts) => { $crate::TextListColumn };
    (boolean) => { $crate::BoolColumn };
    (timestamp) => { $crate::FixedColumn<i64> };
    ($number:ident) => { $crate::FixedColumn<$number> };
}

/// Declares the columns of a kind that a guest reads.
///
/// Types: `text`, `texts` (a list), `boolean`, `timestamp` (`i64`, ns since the epoch), `u16`,
/// `u32`, `u64`, `i32`, `f64`. The kind's name becomes a module with `Columns` and `Row`.
///
/// ```
/// weir_guest::columns! { process { pid: u32, name: text } }
///
/// let columns = process::Columns {
///     rows: 1,
///     pid: weir_guest::FixedColumn::of(&[Some(1)]),
///     name: weir_guest::TextColumn::of(&[Some("init")]),
/// };
/// assert_eq!(columns.row(0).name(), Some("init"));
/// assert_eq!(process::FIELDS, ["pid", "name"]);
/// ```
#[macro_export]
macro_rules! columns {
    ($kind:ident { $($field:ident: $type:ident),+ $(,)? }) => {
        #[allow(
            dead_code,
            missing_docs,
            unreachable_pub,
            reason = "the fields are documented with the kind, and no guest uses all of this"
        )]
        mod $kind {
            /// The kind.
            pub const KIND: &str = ::core::stringify!($kind);
            /// Its fields that are read.
            pub const FIELDS: &[&str] = &[$(::core::stringify!($field)),+];

            /// What `init` asks for.
            pub fn wants() -> $crate::Wants {
                $crate::Wants::of(KIND, FIELDS)
            }

            /// The columns, the guest's own.
            #[derive(Clone, Debug)]
            pub struct Columns {
                /// How many rows.
                pub rows: usize,
                $(pub $field: $crate::__column!($type),)+
            }

            impl Columns {
                /// Fetches them all, each once.
                pub fn fetch(
                    batch: &$crate::Batch<'_>,
                ) -> ::core::result::Result<Self, $crate::EvalError> {
                    let rows = batch.rows();
                    ::core::result::Result::Ok(Self {
                        rows,
                        $($field: batch.column_of(::core::stringify!($field), rows)?,)+
                    })
                }

                /// A view of a row; of one that isn't there all fields are null.
                #[inline]
                pub fn row(&self, index: usize) -> Row<'_> {
                    Row { columns: self, index }
                }

                /// Views of all rows, in order.
                #[inline]
                pub fn rows(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
                    (0..self.rows).map(|index| Row { columns: self, index })
                }

                /// The rows that `keep` wants.
                #[inline]
                pub fn mask(&self, mut keep: impl FnMut(Row<'_>) -> bool) -> $crate::Mask {
                    $crate::Mask::from_fn(self.rows, |index| keep(Row { columns: self, index }))
                }
            }

            /// One row: each field is read when it is asked for.
            #[derive(Clone, Copy, Debug)]
            pub struct Row<'a> {
                columns: &'a Columns,
                index: usize,
            }

            impl<'a> Row<'a> {
                /// Its place in the batch.
                #[inline]
                pub fn index(&self) -> usize {
                    self.index
                }

                /// Its place in the batch, as the contract counts.
                #[inline]
                pub fn number(&self) -> u32 {
                    u32::try_from(self.index).unwrap_or(u32::MAX)
                }

                $(
                    #[inline]
                    pub fn $field(
                        &self,
                    ) -> ::core::option::Option<
                        <$crate::__column!($type) as $crate::Column>::Value<'a>,
                    > {
                        $crate::Column::get(&self.columns.$field, self.index)
                    }
                )+
            }
        }
    };
}
