//! The one declaration of a kind: from its list of fields come the row type, the Arrow schema,
//! the builder of columns and the view of rows. Nothing else in the house lists a kind's fields.

/// Declares a kind.
///
/// Every kind also has `timestamp`, which its row type carries, and `source` and `sequence`,
/// which the batcher stamps: a source can neither forge nor forget them.
macro_rules! event_kind {
    (
        $(#[$meta:meta])*
        $kind:ident: $row:ident, $builder:ident, $columns:ident, $view:ident {
            $( $(#[$field_meta:meta])* $field:ident: $type:ty, )*
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

pub(crate) use event_kind;
