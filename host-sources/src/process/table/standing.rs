//! Rows that stand: those of the look before that a process would have again, but for what is measured.
//!
//! Their columns are copied and not made anew, which costs a tenth. The invariant: a row stands only if everything
//! that it is made of is of the same edition, and if the batches have all rows that went to them.

use weir_bus::Batch;

use super::super::known::Known;
use super::super::row::Lifecycle;

/// What a row that says `observed` is made of, but for what is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) pid: u32,
    pub(super) parent: Option<u32>,
    pub(super) user_id: Option<u32>,
    /// The edition of what is known of the process for long, and that of its parent.
    pub(super) edition: u64,
    pub(super) parent_edition: Option<u64>,
}

impl Made {
    /// What a row of that process is made of, and of that parent.
    pub(super) fn of(known: &Known, parent: Option<&Known>) -> Self {
        Self {
            pid: known.pid,
            parent: known.ppid,
            user_id: known.user_id,
            edition: known.edition(),
            parent_edition: parent.map(Known::edition),
        }
    }
}

/// The rows of the look before, and those of the one that is told.
#[derive(Default)]
pub(super) struct Standing {
    /// By pid, in the order of the rows in the batches.
    before: Vec<Made>,
    batches: Vec<Batch>,
    now: Vec<Made>,
    /// The first of those before that is still to be passed.
    at: usize,
    /// The batch that it stands in, and the place of that batch's first row.
    batch: (usize, usize),
}

impl Standing {
    /// Notes a row that is told now. By pid.
    pub(super) fn tell(&mut self, made: Made) {
        self.now.push(made);
    }

    /// Where this row stands: in which batch, and as which of its rows. To be asked by pid.
    pub(super) fn place_of(&mut self, made: &Made) -> Option<(&Batch, usize)> {
        while self.before.get(self.at)?.pid < made.pid {
            self.at += 1;
        }
        if self.before.get(self.at) != Some(made) {
            return None;
        }
        let (mut index, mut first) = self.batch;
        let batch = loop {
            let batch = self.batches.get(index)?;
            if self.at < first + batch.rows() {
                break batch;
            }
            first += batch.rows();
            index += 1;
        };
        self.batch = (index, first);
        Some((batch, self.at - first))
    }

    /// The look is told; these are its batches.
    pub(super) fn end_look(&mut self, batches: Vec<Batch>) {
        (self.at, self.batch) = (0, (0, 0));
        std::mem::swap(&mut self.before, &mut self.now);
        self.now.clear();
        self.batches = batches;
        let topic = Lifecycle::Observed.as_str();
        self.batches
            .retain(|batch| batch.header().topic.as_str().ends_with(topic));
        // Rows found no room: nobody knows which.
        if self.batches.iter().map(Batch::rows).sum::<usize>() != self.before.len() {
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.before.clear();
        self.batches.clear();
    }
}
