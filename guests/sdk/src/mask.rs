//! A selection that is built bit by bit.
//!
//! Invariant: exactly the bytes that its rows need, and no bit past the last row.

use crate::Selection;
use crate::column::bit;

/// One bit a row, least significant first: Arrow's layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    bits: Vec<u8>,
    rows: usize,
}

impl Mask {
    /// No row of `rows`.
    #[must_use]
    pub fn none(rows: usize) -> Self {
        Self {
            bits: vec![0; rows.div_ceil(8)],
            rows,
        }
    }

    /// The rows for which `keep` says so; it is asked once a row, in order.
    #[inline]
    #[must_use]
    pub fn from_fn(rows: usize, mut keep: impl FnMut(usize) -> bool) -> Self {
        let mut mask = Self::none(rows);
        for (index, byte) in mask.bits.iter_mut().enumerate() {
            let first = index * 8;
            let count = (rows - first).min(8);
            let mut bits = 0;
            for row in 0..count {
                bits |= u8::from(keep(first + row)) << row;
            }
            *byte = bits;
        }
        mask
    }

    /// The rows whose item says `true`, in order; rows past the iterator's end stay out.
    ///
    /// The way for numbers: with a comparison that has no branches it is vectors.
    #[inline]
    #[must_use]
    pub fn from_bools(rows: usize, bools: impl Iterator<Item = bool>) -> Self {
        // A byte a row first, eight of which then are the byte of the mask.
        let mut bytes = vec![0; rows.next_multiple_of(8)];
        if let Some(bytes) = bytes.get_mut(..rows) {
            bytes
                .iter_mut()
                .zip(bools)
                .for_each(|(byte, set)| *byte = u8::from(set));
        }
        let bits = bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|bytes| gather(*bytes))
            .collect();
        Self { bits, rows }
    }

    /// How many rows it is about.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Selects a row; a row that isn't there is left out.
    #[inline]
    pub fn set(&mut self, row: usize) {
        if row < self.rows
            && let Some(byte) = self.bits.get_mut(row / 8)
        {
            *byte |= 1 << (row % 8);
        }
    }

    /// Whether a row is selected.
    #[inline]
    #[must_use]
    pub fn get(&self, row: usize) -> bool {
        bit(&self.bits, row)
    }

    /// Eight rows at once, those from `byte * 8` on: what is set in `bits` is selected too.
    #[inline]
    pub fn set_byte(&mut self, byte: usize, bits: u8) {
        let left = self.rows.saturating_sub(byte.saturating_mul(8));
        let within = if left >= 8 { u8::MAX } else { (1 << left) - 1 };
        if let Some(slot) = self.bits.get_mut(byte) {
            *slot |= bits & within;
        }
    }

    /// What is selected in both stays; a bitmap that is too short selects nothing past its end.
    pub fn and(&mut self, bits: &[u8]) {
        let bits = bits.iter().copied().chain(std::iter::repeat(0));
        for (slot, bits) in self.bits.iter_mut().zip(bits) {
            *slot &= bits;
        }
    }

    /// What is selected in either is selected.
    pub fn or(&mut self, other: &Self) {
        for (byte, bits) in other.bits.iter().enumerate() {
            self.set_byte(byte, *bits);
        }
    }

    /// The bitmap: one bit a row, least significant first.
    #[must_use]
    pub fn bits(&self) -> &[u8] {
        &self.bits
    }

    /// How many rows are selected.
    #[must_use]
    pub fn count(&self) -> usize {
        self.bits
            .iter()
            .map(|byte| byte.count_ones() as usize)
            .sum()
    }

    /// The selected rows, ascending; eight at once where none is.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        let bytes = self.bits.iter().enumerate().filter(|(_, byte)| **byte != 0);
        bytes.flat_map(|(index, byte)| {
            (0..8)
                .filter(move |bit| byte >> bit & 1 == 1)
                .map(move |bit| index * 8 + bit)
        })
    }
}

/// Eight bytes that are 0 or 1 as eight bits.
#[inline]
pub(crate) fn gather(bytes: [u8; 8]) -> u8 {
    // The product's highest byte is the sum of each bit moved to its place: no two meet.
    let moved = u64::from_le_bytes(bytes).wrapping_mul(0x0102_0408_1020_4080);
    moved.to_le_bytes()[7]
}

impl From<Mask> for Selection {
    fn from(mask: Mask) -> Self {
        Self::Mask(mask.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_selects_what_was_set_and_nothing_past_its_rows() {
        let mut mask = Mask::from_fn(11, |row| row % 3 == 0);
        assert_eq!(mask.iter().collect::<Vec<_>>(), [0, 3, 6, 9]);
        mask.set(10);
        mask.set(11);
        mask.set_byte(1, 0xff);
        mask.set_byte(2, 0xff);
        assert_eq!(mask.count(), 6);
        mask.and(&[0b1000_0001]);
        assert_eq!(mask.iter().collect::<Vec<_>>(), [0]);
        mask.or(&Mask::from_bools(11, [false, true].into_iter()));
        let every_third = Mask::from_bools(100, (0..100).map(|row| row % 3 == 0));
        assert_eq!(every_third, Mask::from_fn(100, |row| row % 3 == 0));
        assert!(matches!(Selection::from(mask), Selection::Mask(bits) if bits == [0b11, 0]));
    }
}
