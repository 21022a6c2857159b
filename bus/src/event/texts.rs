//! Lists of texts as a column.
//!
//! It has a builder of its own, for Arrow's can't take over the items of another array. The invariant: a list's end is
//! where the next begins.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::{ArrayBuilder as _, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::{Array as _, ArrayRef, ListArray, StringArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field};

use super::column::{
    ColumnType, FieldType, LIST_ITEM, OFFSET_BYTES, TEXT_BYTES_A_ROW, append_texts, bound,
    bytes_of_texts,
};

/// A row's list of texts, borrowed from its column.
#[derive(Clone, Copy, Debug)]
pub struct Texts<'a> {
    texts: &'a StringArray,
    start: usize,
    end: usize,
}

impl<'a> Texts<'a> {
    /// The texts in order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = &'a str> {
        (self.start..self.end).map(move |index| self.texts.value(index))
    }

    /// How many texts.
    #[must_use]
    pub fn len(self) -> usize {
        self.end - self.start
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// Collects lists of texts.
pub struct TextsBuilder {
    texts: StringBuilder,
    /// Where each list ends.
    ends: Vec<i32>,
}

impl TextsBuilder {
    fn with_capacity(rows: usize) -> Self {
        let bytes = rows.saturating_mul(TEXT_BYTES_A_ROW);
        Self {
            texts: StringBuilder::with_capacity(rows, bytes),
            ends: Vec::with_capacity(rows),
        }
    }

    /// Ends the list that the texts since the last belong to.
    fn end_list(&mut self) {
        // As many texts as there may be are more than a column of texts can grow to.
        let end = i32::try_from(self.texts.len()).unwrap_or(i32::MAX);
        self.ends.push(end);
    }

    fn append_rows(&mut self, lists: &ListArray, rows: Range<usize>) -> bool {
        let offsets = lists.value_offsets();
        let (first, last) = (bound(offsets, rows.start), bound(offsets, rows.end));
        let texts = lists.values().as_string::<i32>();
        let begin = i32::try_from(self.texts.len()).ok();
        let shift = begin.zip(i32::try_from(first).ok());
        let Some(shift) = shift.and_then(|(begin, first)| begin.checked_sub(first)) else {
            return false;
        };
        if !append_texts(&mut self.texts, &texts.slice(first, last - first)) {
            return false;
        }
        let ends = offsets.get(rows.start + 1..=rows.end).unwrap_or_default();
        self.ends
            .extend(ends.iter().map(|end| end.saturating_add(shift)));
        true
    }

    fn finish(&mut self) -> ListArray {
        let ends = std::mem::take(&mut self.ends);
        let offsets = std::iter::once(0).chain(ends).collect();
        let item = Arc::new(Field::new(LIST_ITEM, DataType::Utf8, false));
        let texts = Arc::new(self.texts.finish());
        ListArray::new(item, OffsetBuffer::new(offsets), texts, None)
    }
}

impl ColumnType for Vec<String> {
    const TYPE: FieldType = FieldType::ListUtf8;
    const NULLABLE: bool = false;
    type Builder = TextsBuilder;
    type Array = ListArray;
    type Item<'a> = Texts<'a>;

    fn builder(rows: usize) -> Self::Builder {
        TextsBuilder::with_capacity(rows)
    }
    fn append(&self, builder: &mut Self::Builder) {
        for text in self {
            builder.texts.append_value(text);
        }
        builder.end_list();
    }
    fn finish(builder: &mut Self::Builder) -> ArrayRef {
        Arc::new(builder.finish())
    }
    fn array(column: &ArrayRef) -> Option<&Self::Array> {
        // The items' own type is part of the schema, which every batch has exactly.
        column
            .as_list_opt::<i32>()
            .filter(|list| list.values().data_type() == &DataType::Utf8)
    }
    fn item(array: &Self::Array, row: usize) -> Self::Item<'_> {
        let offsets = array.value_offsets();
        Texts {
            texts: array.values().as_string::<i32>(),
            start: bound(offsets, row),
            end: bound(offsets, row + 1),
        }
    }
    fn owned(item: Self::Item<'_>) -> Self {
        item.iter().map(str::to_owned).collect()
    }
    fn bytes(&self) -> usize {
        self.iter()
            .map(|text| text.len() + OFFSET_BYTES)
            .sum::<usize>()
            + OFFSET_BYTES
    }
    fn append_rows(array: &Self::Array, rows: Range<usize>, builder: &mut Self::Builder) -> bool {
        builder.append_rows(array, rows)
    }
    fn bytes_of_rows(array: &Self::Array, rows: Range<usize>) -> usize {
        let offsets = array.value_offsets();
        let items = bound(offsets, rows.start)..bound(offsets, rows.end);
        bytes_of_texts(array.values().as_string::<i32>(), items) + rows.len() * OFFSET_BYTES
    }
}
