//! Events: what one row of each kind is. Alone knows the kinds' fields and their Arrow schemas.
//!
//! A batch has exactly its kind's schema; [`Kind::schema`] is the only maker of schemas.

pub mod column;
mod declare;
mod filesystem;
mod finding;
mod inventory;
mod kind;
mod network;
mod performance;
mod process;
mod texts;
mod trigger;

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use arrow_array::{ArrayRef, StringArray};
use arrow_schema::{Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use crate::batch::Batch;

pub use column::{FieldType, Timestamp};
pub use filesystem::{FilesystemColumns, FilesystemEvent, FilesystemRow};
pub use finding::{FindingColumns, FindingEvent, FindingRow};
pub use inventory::{InventoryColumns, InventoryEvent, InventoryRow};
pub use kind::{Kind, UnknownKind};
pub use network::{NetworkColumns, NetworkEvent, NetworkRow};
pub use performance::{PerformanceColumns, PerformanceEvent, PerformanceRow};
pub use process::{ProcessColumns, ProcessEvent, ProcessRow};
pub use texts::Texts;
pub use trigger::{TriggerColumns, TriggerEvent, TriggerRow};

/// What timestamp and sequence add to each row; the source's name is shared by the whole batch's
/// offsets and not worth counting.
const STAMP_BYTES: usize = size_of::<i64>() + size_of::<u64>();

/// One field of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldSpec {
    /// The field's name.
    pub name: &'static str,
    /// Its type.
    pub field_type: FieldType,
    /// Whether rows may have no value.
    pub nullable: bool,
}

impl Kind {
    /// The kind's fields, in the order of its columns.
    #[must_use]
    pub const fn fields(self) -> &'static [FieldSpec] {
        match self {
            Self::Process => process::FIELDS,
            Self::Network => network::FIELDS,
            Self::Filesystem => filesystem::FIELDS,
            Self::Performance => performance::FIELDS,
            Self::Inventory => inventory::FIELDS,
            Self::Trigger => trigger::FIELDS,
            Self::Finding => finding::FIELDS,
        }
    }

    /// The place of a field among the kind's columns.
    #[must_use]
    pub fn field_index(self, name: &str) -> Option<usize> {
        self.fields().iter().position(|field| field.name == name)
    }

    /// The kind's Arrow schema.
    #[must_use]
    pub fn schema(self) -> SchemaRef {
        static SCHEMAS: OnceLock<Vec<SchemaRef>> = OnceLock::new();
        let schemas = SCHEMAS.get_or_init(|| Self::ALL.into_iter().map(make_schema).collect());
        Arc::clone(&schemas[self as usize])
    }
}

fn make_schema(kind: Kind) -> SchemaRef {
    let fields: Vec<Field> = kind
        .fields()
        .iter()
        .map(|field| Field::new(field.name, field.field_type.arrow(), field.nullable))
        .collect();
    Arc::new(Schema::new(fields))
}

macro_rules! row_enum {
    ($( $kind:ident($row:ident, $builder:path, $columns:ident), )*) => {
        /// One event of any kind.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind", rename_all = "lowercase")]
        pub enum CollectionEvent {
            $( #[doc = concat!("An event of kind `", stringify!($kind), "`.")] $kind($row), )*
        }

        impl CollectionEvent {
            /// What it is about.
            #[must_use]
            pub const fn kind(&self) -> Kind {
                match self {
                    $( Self::$kind(_) => Kind::$kind, )*
                }
            }

            /// When it happened or was observed.
            #[must_use]
            pub const fn timestamp(&self) -> Timestamp {
                match self {
                    $( Self::$kind(row) => row.timestamp, )*
                }
            }

            /// About how many bytes the event takes in its columns.
            #[must_use]
            pub fn bytes(&self) -> usize {
                match self {
                    $( Self::$kind(row) => row.bytes(), )*
                }
            }

            /// The row of a batch; none past its end.
            pub(crate) fn of(batch: &Batch, row: usize) -> Option<Self> {
                match batch.kind() {
                    $( Kind::$kind => Some(Self::$kind($columns::of(batch)?.row(row)?.to_owned())), )*
                }
            }
        }

        $(
            impl From<$row> for CollectionEvent {
                fn from(row: $row) -> Self {
                    Self::$kind(row)
                }
            }

            impl EventRow for $row {
                fn kind(&self) -> Kind {
                    Kind::$kind
                }

                fn append_to(&self, builder: &mut EventBuilder, sequence: u64) -> bool {
                    if !builder.take_over() {
                        return false;
                    }
                    if let Columns::$kind(columns) = &mut builder.columns {
                        columns.append(self, sequence);
                        builder.note(1, $row::bytes(self));
                        true
                    } else {
                        false
                    }
                }

                fn timestamp(&self) -> Timestamp {
                    self.timestamp
                }

                fn topic_leaf(&self) -> &str {
                    self.leaf()
                }
            }

            impl MeasuredRow for $row {
                fn bytes_of(batch: &Batch, rows: Range<usize>) -> Option<usize> {
                    let columns = $columns::of(batch).filter(|_| rows.end <= batch.rows())?;
                    Some(<$builder>::bytes_of_rows(&columns, rows))
                }

                fn append_again(
                    rows: &[Self],
                    (batch, from): (&Batch, usize),
                    builder: &mut EventBuilder,
                    sequence: u64,
                ) -> bool {
                    let range = from..from.saturating_add(rows.len());
                    let Some(bytes) = Self::bytes_of(batch, range.clone()) else {
                        return false;
                    };
                    if builder.kind != Kind::$kind || !builder.stand(batch, range) {
                        return false;
                    }
                    if let Columns::$kind(columns) = &mut builder.columns {
                        columns.append_measured(rows, sequence);
                    }
                    builder.note(rows.len(), bytes);
                    true
                }
            }
        )*

        enum Columns {
            $( $kind(Box<$builder>), )*
        }

        impl Columns {
            fn with_capacity(kind: Kind, rows: usize) -> Self {
                match kind {
                    $( Kind::$kind => Self::$kind(Box::new(<$builder>::with_capacity(rows))), )*
                }
            }

            fn finish(&mut self) -> Vec<ArrayRef> {
                match self {
                    $( Self::$kind(columns) => columns.finish(), )*
                }
            }

            /// Appends what isn't measured of rows that stand; false if they don't, or a column can't grow that
            /// large.
            fn append_standing(&mut self, standing: &Standing) -> bool {
                let rows = standing.rows.clone();
                match self {
                    $( Self::$kind(columns) => $columns::of(&standing.batch)
                        .is_some_and(|of| columns.append_standing(&of, rows)), )*
                }
            }

            fn finish_standing(&mut self, batch: &Batch) -> Vec<ArrayRef> {
                match self {
                    $( Self::$kind(columns) => columns.finish_standing(batch.records()), )*
                }
            }
        }

        impl EventRow for CollectionEvent {
            fn kind(&self) -> Kind {
                Self::kind(self)
            }

            fn append_to(&self, builder: &mut EventBuilder, sequence: u64) -> bool {
                match self {
                    $( Self::$kind(row) => row.append_to(builder, sequence), )*
                }
            }

            fn timestamp(&self) -> Timestamp {
                Self::timestamp(self)
            }

            fn topic_leaf(&self) -> &str {
                match self {
                    $( Self::$kind(row) => row.leaf(), )*
                }
            }
        }
    };
}

row_enum! {
    Process(ProcessEvent, process::ProcessBuilder, ProcessColumns),
    Network(NetworkEvent, network::NetworkBuilder, NetworkColumns),
    Filesystem(FilesystemEvent, filesystem::FilesystemBuilder, FilesystemColumns),
    Performance(PerformanceEvent, performance::PerformanceBuilder, PerformanceColumns),
    Inventory(InventoryEvent, inventory::InventoryBuilder, InventoryColumns),
    Trigger(TriggerEvent, trigger::TriggerBuilder, TriggerColumns),
    Finding(FindingEvent, finding::FindingBuilder, FindingColumns),
}

/// A row that can be appended to a batch: the row type of a kind, or [`CollectionEvent`].
pub trait EventRow {
    /// The row's kind.
    fn kind(&self) -> Kind;
    /// Appends the row; false if the builder is of another kind.
    fn append_to(&self, builder: &mut EventBuilder, sequence: u64) -> bool;
    /// When it happened or was observed.
    fn timestamp(&self) -> Timestamp;
    /// The last token of the topic that the row goes to.
    fn topic_leaf(&self) -> &str;
}

/// A row of which some fields are measured anew at each look, while the rest stays what it was.
///
/// Where all of it is the same but those, its columns are copied from the batch that has them.
pub trait MeasuredRow: EventRow + Sized {
    /// About how many bytes rows of a batch take; none if it has no such rows, or is of another kind.
    fn bytes_of(batch: &Batch, rows: Range<usize>) -> Option<usize>;
    /// Appends rows that stand in a batch from a row on: timestamps and what is measured come from `rows`. False
    /// if the batch has no such rows, or a column can't grow that large.
    fn append_again(
        rows: &[Self],
        of: (&Batch, usize),
        builder: &mut EventBuilder,
        sequence: u64,
    ) -> bool;
}

impl ProcessEvent {
    fn leaf(&self) -> &str {
        &self.lifecycle
    }
}

impl NetworkEvent {
    fn leaf(&self) -> &str {
        &self.lifecycle
    }
}

impl FilesystemEvent {
    fn leaf(&self) -> &str {
        &self.operation
    }
}

impl PerformanceEvent {
    /// What the metric is about: `cpu` of `system.cpu.utilization`, `process` of `process.cpu.utilization`. All
    /// metrics of a subject share a topic, for a look has hundreds of rows of dozens of metrics.
    fn leaf(&self) -> &str {
        let about = self.metric.strip_prefix("system.");
        let about = about.unwrap_or(&self.metric);
        about.split('.').next().unwrap_or(about)
    }
}

impl InventoryEvent {
    fn leaf(&self) -> &str {
        &self.class
    }
}

impl TriggerEvent {
    /// The collector that shall answer, or the trigger where the stages do.
    fn leaf(&self) -> &str {
        if self.target.is_empty() {
            &self.trigger
        } else {
            &self.target
        }
    }
}

impl FindingEvent {
    fn leaf(&self) -> &str {
        &self.guest
    }
}

/// Rows of a batch that a builder has as its last, in which they stand one after the other.
struct Standing {
    batch: Batch,
    rows: Range<usize>,
}

/// Collects rows of one kind into columns.
pub struct EventBuilder {
    kind: Kind,
    columns: Columns,
    /// Of these rows the columns have only what is measured: where all rows are those of a batch, it shares its
    /// columns.
    standing: Option<Standing>,
    rows: usize,
    bytes: usize,
}

impl EventBuilder {
    /// A builder with room for `rows`.
    #[must_use]
    pub fn new(kind: Kind, rows: usize) -> Self {
        Self {
            kind,
            columns: Columns::with_capacity(kind, rows),
            standing: None,
            rows: 0,
            bytes: 0,
        }
    }

    /// The kind of its rows.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Rows collected so far.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// About how many bytes they take.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Goes on with rows of a batch; false if those before can't be taken over.
    fn stand(&mut self, batch: &Batch, rows: Range<usize>) -> bool {
        if let Some(standing) = &mut self.standing
            && standing.rows.end == rows.start
            && standing.batch.is_same(batch)
        {
            standing.rows.end = rows.end;
            return true;
        }
        if !self.take_over() {
            return false;
        }
        let batch = batch.clone();
        self.standing = Some(Standing { batch, rows });
        true
    }

    /// Copies what stands in a batch; false if a column can't grow that large.
    fn take_over(&mut self) -> bool {
        match self.standing.take() {
            Some(standing) => self.columns.append_standing(&standing),
            None => true,
        }
    }

    fn note(&mut self, rows: usize, bytes: usize) {
        self.rows += rows;
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Closes the columns, with `source` in every row, and leaves the builder empty.
    #[must_use]
    pub fn finish(&mut self, source: &str) -> Vec<ArrayRef> {
        let all = self.standing.take_if(|standing| {
            standing.rows.len() == self.rows && standing.batch.rows() == self.rows
        });
        let mut columns = match all {
            Some(standing) => self.columns.finish_standing(&standing.batch),
            None => {
                // What can't be taken over leaves columns that are no batch, which is found out there.
                let _ = self.take_over();
                self.columns.finish()
            }
        };
        columns.insert(SOURCE_COLUMN, repeated(source, self.rows));
        self.rows = 0;
        self.bytes = 0;
        columns
    }
}

/// Where the batcher's stamp of the source stands among the columns.
const SOURCE_COLUMN: usize = 1;
/// Columns before the kind's own: when, who, and the number.
const STAMPS: usize = 3;

fn repeated(text: &str, rows: usize) -> ArrayRef {
    let mut builder =
        arrow_array::builder::StringBuilder::with_capacity(rows, rows.saturating_mul(text.len()));
    builder.append_value_n(text, rows);
    let array: StringArray = builder.finish();
    Arc::new(array)
}
