//! What becomes of a guest that breaks, and of the rows that break it: they are found, kept and told,
//! and everybody else goes on as if there were none.

mod quarantine;
mod release;
mod search;
mod share;
