//! A bit a row, in Arrow's layout, and the four-valued truth that is made of two of them.
//!
//! Invariant: no bit past the last row is ever set, so that counting and inverting are exact.

use weir_guest::Mask;

/// One bit a row, least significant first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bits {
    bytes: Vec<u8>,
    rows: usize,
}

impl Bits {
    /// No row of `rows`.
    pub(crate) fn none(rows: usize) -> Self {
        Self {
            bytes: vec![0; rows.div_ceil(8)],
            rows,
        }
    }

    /// All rows.
    pub(crate) fn all(rows: usize) -> Self {
        let mut bits = Self {
            bytes: vec![u8::MAX; rows.div_ceil(8)],
            rows,
        };
        bits.trim();
        bits
    }

    /// The rows that a bitmap has; without one, all.
    pub(crate) fn of_validity(validity: Option<&[u8]>, rows: usize) -> Self {
        let Some(validity) = validity else {
            return Self::all(rows);
        };
        let mut bytes: Vec<u8> = validity.iter().take(rows.div_ceil(8)).copied().collect();
        bytes.resize(rows.div_ceil(8), 0);
        let mut bits = Self { bytes, rows };
        bits.trim();
        bits
    }

    /// The rows whose item says so, in order.
    #[inline]
    pub(crate) fn of_bools(rows: usize, bools: impl Iterator<Item = bool>) -> Self {
        Mask::from_bools(rows, bools).into()
    }

    /// The rows for which `says` is true.
    #[inline]
    pub(crate) fn of_rows(rows: usize, says: impl FnMut(usize) -> bool) -> Self {
        Mask::from_fn(rows, says).into()
    }

    fn trim(&mut self) {
        let past = self.rows % 8;
        if past != 0
            && let Some(last) = self.bytes.last_mut()
        {
            *last &= (1 << past) - 1;
        }
    }

    pub(crate) const fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    #[inline]
    pub(crate) fn get(&self, row: usize) -> bool {
        self.bytes
            .get(row / 8)
            .is_some_and(|byte| byte >> (row % 8) & 1 == 1)
    }

    pub(crate) fn set(&mut self, row: usize) {
        if row < self.rows
            && let Some(byte) = self.bytes.get_mut(row / 8)
        {
            *byte |= 1 << (row % 8);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.iter().all(|byte| *byte == 0)
    }

    /// The rows that are set, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        let bytes = self
            .bytes
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte != 0);
        bytes.flat_map(|(index, byte)| {
            (0..8)
                .filter(move |bit| byte >> bit & 1 == 1)
                .map(move |bit| index * 8 + bit)
        })
    }

    pub(crate) fn and(&mut self, other: &Self) {
        for (byte, other) in self.bytes.iter_mut().zip(&other.bytes) {
            *byte &= other;
        }
    }

    pub(crate) fn or(&mut self, other: &Self) {
        for (byte, other) in self.bytes.iter_mut().zip(&other.bytes) {
            *byte |= other;
        }
    }

    pub(crate) fn and_not(&mut self, other: &Self) {
        for (byte, other) in self.bytes.iter_mut().zip(&other.bytes) {
            *byte &= !other;
        }
    }

    /// Those of `self` that are not in `other`.
    pub(crate) fn without(&self, other: &Self) -> Self {
        let bytes = self.bytes.iter().zip(&other.bytes);
        Self {
            bytes: bytes.map(|(byte, other)| byte & !other).collect(),
            rows: self.rows,
        }
    }
}

impl From<Mask> for Bits {
    fn from(mask: Mask) -> Self {
        Self {
            bytes: mask.bits().to_vec(),
            rows: mask.rows(),
        }
    }
}

/// What a test says of each row: true, false, or neither. A row that is neither is unknown, or it
/// has a fault, which stands apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Truth {
    pub(crate) yes: Bits,
    pub(crate) no: Bits,
}

impl Truth {
    /// The same for all rows.
    pub(crate) fn constant(value: Option<bool>, rows: usize) -> Self {
        let if_is = |wanted| match value == Some(wanted) {
            true => Bits::all(rows),
            false => Bits::none(rows),
        };
        Self {
            yes: if_is(true),
            no: if_is(false),
        }
    }

    /// True where `yes` is and there is a value, false where only the value is.
    pub(crate) fn of(mut yes: Bits, valid: &Bits) -> Self {
        yes.and(valid);
        let no = valid.without(&yes);
        Self { yes, no }
    }

    #[inline]
    pub(crate) fn get(&self, row: usize) -> Option<bool> {
        match (self.yes.get(row), self.no.get(row)) {
            (true, _) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        }
    }

    pub(crate) fn set(&mut self, row: usize, value: Option<bool>) {
        match value {
            Some(true) => self.yes.set(row),
            Some(false) => self.no.set(row),
            None => {}
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.yes.rows()
    }

    /// Whether it is known of every row.
    pub(crate) fn is_total(&self) -> bool {
        let mut known = self.yes.clone();
        known.or(&self.no);
        known == Bits::all(self.rows())
    }
}
