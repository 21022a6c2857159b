//! The one declaration of a kind: from its list of fields come the row type, the Arrow schema,
//! the builder of columns and the view of rows. Nothing else in the house lists a kind's fields.
//!
//! A field that is `[measured]` is another at each look while the rest of its row stays what it was: rows that stand
//! in a batch are appended again with those alone made anew.

/// Declares a kind.
///
/// Every kind also has `timestamp`, which its row type carries, and `source` and `sequence`,
/// which the batcher stamps: a source can neither forge nor forget them.
macro_rules! event_kind {
    (
        $(#[$meta:meta])*
        $kind:ident: $row:ident, $builder:ident, $columns:ident, $view:ident {
            $( $(#[$field_meta:meta])* $([$measured:ident])? $field:ident: $type:ty, )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $row {
            /// When it happened or was observed.
            pub timestamp: Timestamp,
            $( $(#[$field_meta])* pub $field: $type, )*
        }

        impl $row {
            /// About how many bytes the row takes in its columns.
            #[must_use]
            pub fn bytes(&self) -> usize {
                crate::event::STAMP_BYTES
                    $( + <$type as ColumnType>::bytes(&self.$field) )*
            }
        }

        /// Collects rows of the kind into columns.
        pub(crate) struct $builder {
            timestamp: <Timestamp as ColumnType>::Builder,
            sequence: <u64 as ColumnType>::Builder,
            $( $field: <$type as ColumnType>::Builder, )*
        }

        impl $builder {
            pub(crate) fn with_capacity(rows: usize) -> Self {
                Self {
                    timestamp: <Timestamp as ColumnType>::builder(rows),
                    sequence: <u64 as ColumnType>::builder(rows),
                    $( $field: <$type as ColumnType>::builder(rows), )*
                }
            }

            pub(crate) fn append(&mut self, row: &$row, sequence: u64) {
                ColumnType::append(&row.timestamp, &mut self.timestamp);
                ColumnType::append(&sequence, &mut self.sequence);
                $( ColumnType::append(&row.$field, &mut self.$field); )*
            }

            /// Appends timestamps and what is measured of rows that stand in a batch: the rest of them is for
            /// `append_standing`, or for `finish_standing`.
            pub(crate) fn append_measured(&mut self, rows: &[$row], sequence: u64) {
                rows.iter().for_each(|row| ColumnType::append(&row.timestamp, &mut self.timestamp));
                let sequences = (sequence..).take(rows.len());
                sequences.for_each(|sequence| ColumnType::append(&sequence, &mut self.sequence));
                $( crate::event::declare::append_measured!(rows, $field, self.$field, $($measured)?); )*
            }

            /// Appends what isn't measured of rows of `columns`, which must be there. False if a column can't grow
            /// that large.
            pub(crate) fn append_standing(
                &mut self,
                columns: &$columns<'_>,
                rows: std::ops::Range<usize>,
            ) -> bool {
                true $( && crate::event::declare::append_standing!(
                    $type, columns.$field, rows, self.$field, $($measured)?
                ) )*
            }

            /// As `finish`, where nothing but what was measured has been appended, and the rest is all that stands
            /// in these records.
            pub(crate) fn finish_standing(
                &mut self,
                records: &arrow_array::RecordBatch,
            ) -> Vec<arrow_array::ArrayRef> {
                let stamps = [
                    <Timestamp as ColumnType>::finish(&mut self.timestamp),
                    <u64 as ColumnType>::finish(&mut self.sequence),
                ];
                let measured = [
                    $( crate::event::declare::finish_measured!($type, self.$field, $($measured)?), )*
                ];
                let standing = records.columns().iter().skip(crate::event::STAMPS);
                let fields = measured.into_iter().zip(standing);
                let fields = fields.map(|(measured, standing)| {
                    measured.unwrap_or_else(|| std::sync::Arc::clone(standing))
                });
                stamps.into_iter().chain(fields).collect()
            }

            /// About how many bytes rows of `columns` take, which must be there.
            pub(crate) fn bytes_of_rows(columns: &$columns<'_>, rows: std::ops::Range<usize>) -> usize {
                rows.len() * crate::event::STAMP_BYTES
                    $( + <$type as ColumnType>::bytes_of_rows(columns.$field, rows.clone()) )*
            }

            /// Timestamp, sequence, then the kind's own columns.
            pub(crate) fn finish(&mut self) -> Vec<arrow_array::ArrayRef> {
                vec![
                    <Timestamp as ColumnType>::finish(&mut self.timestamp),
                    <u64 as ColumnType>::finish(&mut self.sequence),
                    $( <$type as ColumnType>::finish(&mut self.$field), )*
                ]
            }
        }

        /// The kind's columns as typed arrays.
        #[derive(Clone, Copy, Debug)]
        pub struct $columns<'a> {
            /// When each event happened or was observed.
            pub timestamp: &'a <Timestamp as ColumnType>::Array,
            /// Who observed it.
            pub source: &'a arrow_array::StringArray,
            /// The event's number within its source.
            pub sequence: &'a <u64 as ColumnType>::Array,
            $( $(#[$field_meta])* pub $field: &'a <$type as ColumnType>::Array, )*
        }

        impl<'a> $columns<'a> {
            /// The typed view of a batch's columns; none if the batch is of another kind.
            #[must_use]
            pub fn of(batch: &'a crate::batch::Batch) -> Option<Self> {
                if batch.kind() != crate::event::Kind::$kind {
                    return None;
                }
                let mut columns = batch.records().columns().iter();
                Some(Self {
                    timestamp: <Timestamp as ColumnType>::array(columns.next()?)?,
                    source: <String as ColumnType>::array(columns.next()?)?,
                    sequence: <u64 as ColumnType>::array(columns.next()?)?,
                    $( $field: <$type as ColumnType>::array(columns.next()?)?, )*
                })
            }

            /// One row; none past the end.
            #[must_use]
            pub fn row(&self, index: usize) -> Option<$view<'a>> {
                (index < self.sequence.len()).then_some($view { columns: *self, index })
            }
        }

        /// One row of a batch, read where it lies.
        #[derive(Clone, Copy, Debug)]
        pub struct $view<'a> {
            columns: $columns<'a>,
            index: usize,
        }

        impl<'a> $view<'a> {
            /// When it happened or was observed.
            #[must_use]
            pub fn timestamp(&self) -> Timestamp {
                <Timestamp as ColumnType>::item(self.columns.timestamp, self.index)
            }

            /// Who observed it.
            #[must_use]
            pub fn source(&self) -> &'a str {
                self.columns.source.value(self.index)
            }

            /// The event's number within its source.
            #[must_use]
            pub fn sequence(&self) -> u64 {
                self.columns.sequence.value(self.index)
            }

            $(
                $(#[$field_meta])*
                #[must_use]
                pub fn $field(&self) -> <$type as ColumnType>::Item<'a> {
                    <$type as ColumnType>::item(self.columns.$field, self.index)
                }
            )*

            /// The row as a value of its own.
            #[must_use]
            pub fn to_owned(&self) -> $row {
                $row {
                    timestamp: self.timestamp(),
                    $( $field: <$type as ColumnType>::owned(self.$field()), )*
                }
            }
        }

        /// The kind's fields in the order of its columns.
        pub(crate) const FIELDS: &[crate::event::FieldSpec] = &[
            crate::event::FieldSpec { name: "timestamp", field_type: crate::event::FieldType::TimestampNs, nullable: false },
            crate::event::FieldSpec { name: "source", field_type: crate::event::FieldType::Utf8, nullable: false },
            crate::event::FieldSpec { name: "sequence", field_type: crate::event::FieldType::U64, nullable: false },
            $( crate::event::FieldSpec {
                name: stringify!($field),
                field_type: <$type as ColumnType>::TYPE,
                nullable: <$type as ColumnType>::NULLABLE,
            }, )*
        ];
    };
}

/// Appends a field of rows if it is measured.
macro_rules! append_measured {
    ($rows:expr, $field:ident, $builder:expr, measured) => {
        $rows
            .iter()
            .for_each(|row| ColumnType::append(&row.$field, &mut $builder))
    };
    ($rows:expr, $field:ident, $builder:expr,) => {};
}

/// Appends a field of rows that stand in a batch, unless it is measured.
macro_rules! append_standing {
    ($type:ty, $column:expr, $rows:expr, $builder:expr, measured) => {
        true
    };
    ($type:ty, $column:expr, $rows:expr, $builder:expr,) => {
        <$type as ColumnType>::append_rows($column, $rows.clone(), &mut $builder)
    };
}

/// The column of a field if it is measured.
macro_rules! finish_measured {
    ($type:ty, $builder:expr, measured) => {
        Some(<$type as ColumnType>::finish(&mut $builder))
    };
    ($type:ty, $builder:expr,) => {
        None
    };
}

pub(crate) use {append_measured, append_standing, event_kind, finish_measured};
