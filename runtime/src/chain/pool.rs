//! Sources that answer requests, as workers: a few threads each, behind a bounded queue.
//!
//! It knows no source: what answers is a closure. Invariant: at most [`QUEUE_MAX`] tasks wait, and what doesn't fit is
//! refused at once; a closure that panics costs its task.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::run::Spent;
use super::task::{Answer, Task, Worker};
use crate::sandbox::Finding;

/// A source answers so many requests at a time: such answers wait for the disk, not for the processor.
pub const THREADS: usize = 2;

/// So many tasks may wait for a source: more than there are runs by default.
pub const QUEUE_MAX: usize = 64;

/// Answers a task until the deadline; the flag says that nobody waits any more.
pub type AnswerFn =
    dyn Fn(&Task, Instant, &AtomicBool) -> Result<Vec<Finding>, String> + Send + Sync;

/// A source that answers requests. When it is dropped, what waits is refused, and its threads end with what they do.
pub struct SourceWorker {
    shared: Arc<Shared>,
}

struct Shared {
    source: String,
    answer: Box<AnswerFn>,
    queue: Mutex<Waiting>,
    woken: Condvar,
}

#[derive(Default)]
struct Waiting {
    tasks: VecDeque<Task>,
    is_closed: bool,
}

impl SourceWorker {
    /// Starts the threads of a source.
    ///
    /// # Errors
    /// If the system refuses one.
    pub fn start(source: &str, answer: Box<AnswerFn>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            source: source.to_owned(),
            answer,
            queue: Mutex::default(),
            woken: Condvar::new(),
        });
        // Made first: where a later thread is refused, those before it end.
        let worker = Self { shared };
        for number in 0..THREADS {
            let shared = Arc::clone(&worker.shared);
            std::thread::Builder::new()
                .name(format!("answer-{source}-{number}"))
                .spawn(move || shared.work())?;
        }
        Ok(worker)
    }
}

impl Worker for SourceWorker {
    fn ask(&self, task: Task) {
        let mut queue = self.shared.queue();
        if queue.tasks.len() < QUEUE_MAX {
            queue.tasks.push_back(task);
            self.shared.woken.notify_one();
            return;
        }
        drop(queue);
        let why = format!(
            "dropped: the queue of source `{}` is full",
            self.shared.source
        );
        task.done.complete(Err(why), Spent::default());
    }
}

impl Drop for SourceWorker {
    fn drop(&mut self) {
        let mut queue = self.shared.queue();
        queue.is_closed = true;
        let waiting = std::mem::take(&mut queue.tasks);
        drop(queue);
        // Each says that it was dropped, with no lock held.
        drop(waiting);
        self.shared.woken.notify_all();
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Waiting> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Task> {
        let mut queue = self.queue();
        loop {
            if let Some(task) = queue.tasks.pop_front() {
                return Some(task);
            }
            if queue.is_closed {
                return None;
            }
            let waited = self.woken.wait(queue);
            queue = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn work(&self) {
        while let Some(task) = self.next() {
            if task.done.is_given_up() {
                continue;
            }
            let began = Instant::now();
            let answer = || (self.answer)(&task, task.until, task.done.given_up());
            let answered = catch_unwind(AssertUnwindSafe(answer));
            let findings = answered.unwrap_or_else(|_| {
                tracing::error!(source = %self.source, "a source has panicked at a request");
                Err("the source panicked".to_owned())
            });
            let result = findings.map(|findings| Answer {
                findings,
                generation: 0,
            });
            let time = began.elapsed();
            task.done.complete(result, Spent { fuel: 0, time });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::super::task::for_test;
    use super::*;
    use crate::chain::testing::{finding, row};

    #[test]
    fn a_source_answers_refuses_what_does_not_fit_and_survives_a_panic() {
        let (let_go, gate) = mpsc::channel::<Result<Vec<Finding>, String>>();
        let gate = Mutex::new(gate);
        let (began, has_begun) = mpsc::channel();
        let worker = SourceWorker::start(
            "hash",
            Box::new(move |_, _, _| {
                began.send(()).unwrap();
                let told = gate.lock().unwrap_or_else(PoisonError::into_inner).recv();
                told.unwrap_or_else(|_| panic!("the test wants it"))
            }),
        )
        .unwrap();
        let (to, answers) = mpsc::channel();
        let ask = || {
            let to = to.clone();
            let (task, given_up) = for_test(row(), move |completion| to.send(completion).unwrap());
            worker.ask(task);
            given_up
        };
        // As many as there are threads are under way, then the queue fills up.
        for _ in 0..THREADS {
            ask();
            has_begun.recv().unwrap();
        }
        let given_up: Vec<_> = (0..QUEUE_MAX).map(|_| ask()).collect();
        ask();
        let refused = answers.recv().unwrap();
        assert_eq!(
            refused.result,
            Err("dropped: the queue of source `hash` is full".to_owned())
        );
        // Those that nobody waits for are not begun.
        for given_up in &given_up {
            given_up.store(true, std::sync::atomic::Ordering::Release);
        }
        let_go.send(Ok(vec![finding("a")])).unwrap();
        let answered = answers.recv().unwrap().result.unwrap();
        assert_eq!((answered.findings.len(), answered.generation), (1, 0));
        drop(let_go);
        let panicked = answers.recv().unwrap().result;
        assert_eq!(panicked, Err("the source panicked".to_owned()));
        ask();
        assert!(
            answers.recv().unwrap().result.is_err(),
            "another thread or the same"
        );
    }
}
