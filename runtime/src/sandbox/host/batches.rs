//! The borrowed batch: what a guest sees of one, and how its columns cross.
//!
//! Written by hand where the generated bindings would copy: a column is lowered straight from its
//! Arrow buffer into the guest's memory, which is the only copy.

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Linker, Lower, Resource, ResourceType};
use weir_bus::batch::Batch as Events;
use weir_bus::event::column::ColumnType as _;
use weir_bus::{Kind, Timestamp};

use super::GuestState;
use super::rows::row_of;
use crate::sandbox::bindings::batches::{FieldError, Row};
use crate::sandbox::fault::{FaultReason, refuse};

/// A batch that the host owns and a guest has borrowed for one call.
pub struct Batch {
    events: Events,
    /// Rows of the slot's stream that were lost just before it; none: unknown how many.
    missed: Option<u64>,
}

/// What is lent for the call under way. A handle's number is its place here.
#[derive(Default)]
pub(in crate::sandbox) struct Lent(Vec<Batch>);

impl Lent {
    /// Lends another batch.
    pub(in crate::sandbox) fn add(
        &mut self,
        events: Events,
        missed: Option<u64>,
    ) -> Resource<Batch> {
        let place = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0.push(Batch { events, missed });
        Resource::new_borrow(place)
    }

    /// Takes everything back, when the call has returned.
    pub(in crate::sandbox) fn take_back(&mut self) {
        self.0.clear();
    }

    fn get(&self, batch: &Resource<Batch>) -> wasmtime::Result<&Batch> {
        let place = usize::try_from(batch.rep()).ok();
        place
            .and_then(|place| self.0.get(place))
            .ok_or_else(|| refuse(FaultReason::HostPanic, "a batch was asked that is not lent"))
    }
}

/// A column as it crosses.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Column {
    #[component(name = "type")]
    field_type: &'static str,
    values: bytes::Bytes,
    offsets: bytes::Bytes,
    #[component(name = "list-offsets")]
    list_offsets: bytes::Bytes,
    validity: bytes::Bytes,
}

/// The columns that a guest asked for: a bit for each field, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::sandbox) struct Asked {
    kinds: [u64; Kind::ALL.len()],
}

// A field's bit must have room.
#[expect(clippy::indexing_slicing, reason = "at compile time")]
const _: () = {
    let mut kind = 0;
    while kind < Kind::ALL.len() {
        assert!(Kind::ALL[kind].fields().len() <= u64::BITS as usize);
        kind += 1;
    }
};

impl Asked {
    pub(in crate::sandbox) fn ask(&mut self, kind: Kind, field: usize) {
        if let Some(fields) = self.kinds.get_mut(kind as usize) {
            *fields |= 1_u64
                .checked_shl(u32::try_from(field).unwrap_or(u32::MAX))
                .unwrap_or(0);
        }
    }

    pub(in crate::sandbox) fn has(&self, kind: Kind, field: usize) -> bool {
        let fields = self.kinds.get(kind as usize).copied().unwrap_or(0);
        let bit = u32::try_from(field)
            .ok()
            .and_then(|field| fields.checked_shr(field));
        bit.is_some_and(|bit| bit & 1 == 1)
    }
}

/// The event time of a batch: its last row's, or the moment when it was closed.
pub(in crate::sandbox) fn event_time(events: &Events) -> Timestamp {
    let last = events.rows().checked_sub(1);
    let timestamps = events.column("timestamp").and_then(Timestamp::array);
    match (last, timestamps) {
        (Some(last), Some(timestamps)) => Timestamp::item(timestamps, last),
        _ => events.header().closed,
    }
}

type Store<'a> = StoreContextMut<'a, GuestState>;
type Borrowed = Resource<Batch>;

fn column(
    store: &Store<'_>,
    batch: &Borrowed,
    field: String,
) -> wasmtime::Result<Result<Column, FieldError>> {
    let state = store.data();
    let events = &state.lent.get(batch)?.events;
    let Some(index) = events.kind().field_index(&field) else {
        return Ok(Err(FieldError::UnknownField(field)));
    };
    if !state.asked.has(events.kind(), index) {
        return Ok(Err(FieldError::NotAskedFor(field)));
    }
    let Some(bytes) = events.column_bytes(index) else {
        return Ok(Err(FieldError::UnknownField(field)));
    };
    Ok(Ok(Column {
        field_type: bytes.field_type.as_str(),
        values: bytes.values.clone(),
        offsets: bytes.offsets.clone(),
        list_offsets: bytes.list_offsets.clone(),
        validity: bytes.validity.clone(),
    }))
}

fn row(
    store: &Store<'_>,
    batch: &Borrowed,
    index: u32,
) -> wasmtime::Result<Result<Row, FieldError>> {
    let state = store.data();
    let events = &state.lent.get(batch)?.events;
    let row = usize::try_from(index).ok();
    let values =
        row.and_then(|row| row_of(events, row, |field| state.asked.has(events.kind(), field)));
    Ok(values
        .ok_or_else(|| FieldError::OutOfRange(u32::try_from(events.rows()).unwrap_or(u32::MAX))))
}

/// The interface's name in the contract.
const INTERFACE: &str = "weir:collector/batches@0.1.0";

/// The batch that a guest asks about; counts the call.
fn asked_about<'a>(store: &'a mut Store<'_>, batch: &Borrowed) -> wasmtime::Result<&'a Batch> {
    store.data_mut().host_call()?;
    store.data().lent.get(batch)
}

pub(in crate::sandbox) fn add_to_linker(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    let mut instance = linker.instance(INTERFACE)?;
    // A guest only ever borrows a batch: there is nothing of its own to drop.
    instance.resource("batch", ResourceType::host::<Batch>(), |_, _| Ok(()))?;
    instance.func_wrap(
        "[method]batch.kind",
        |mut store: Store<'_>, (batch,): (Borrowed,)| {
            Ok((asked_about(&mut store, &batch)?.events.kind().as_str(),))
        },
    )?;
    instance.func_wrap(
        "[method]batch.topic",
        |mut store: Store<'_>, (batch,): (Borrowed,)| {
            let events = &asked_about(&mut store, &batch)?.events;
            Ok((events.topic().as_str().to_owned(),))
        },
    )?;
    instance.func_wrap(
        "[method]batch.len",
        |mut store: Store<'_>, (batch,): (Borrowed,)| {
            let rows = asked_about(&mut store, &batch)?.events.rows();
            Ok((u32::try_from(rows).unwrap_or(u32::MAX),))
        },
    )?;
    instance.func_wrap(
        "[method]batch.missed",
        |mut store: Store<'_>, (batch,): (Borrowed,)| {
            Ok((asked_about(&mut store, &batch)?.missed,))
        },
    )?;
    instance.func_wrap(
        "[method]batch.column",
        |mut store: Store<'_>, (batch, field): (Borrowed, String)| {
            store.data_mut().host_call()?;
            Ok((column(&store, &batch, field)?,))
        },
    )?;
    instance.func_wrap(
        "[method]batch.row",
        |mut store: Store<'_>, (batch, index): (Borrowed, u32)| {
            store.data_mut().host_call()?;
            Ok((row(&store, &batch, index)?,))
        },
    )?;
    Ok(())
}
