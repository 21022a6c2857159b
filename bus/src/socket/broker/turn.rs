//! What goes out because of what came in is written in the turn of who sent it.
//!
//! A connection's writer is a task of its own, and waking it would cost each message another turn of the
//! runtime. Within a turn of a reader on the same thread the writer is polled by the reader instead, at the
//! end of the turn. The invariant: who is woken is polled afterwards; by its own task, where no turn is open
//! on the thread that wakes it.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

type Work = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

thread_local! {
    /// Whether a turn is open on this thread.
    static IS_OPEN: Cell<bool> = const { Cell::new(false) };
    /// The writers that were woken in it.
    static WOKEN: RefCell<Vec<Arc<Writer>>> = const { RefCell::new(Vec::new()) };
}

/// A writer, which its own task polls, or a reader at the end of a turn.
struct Writer {
    work: Mutex<Step>,
    task: Mutex<Option<Waker>>,
    /// It stands among those that were woken in a turn.
    is_woken: AtomicBool,
}

enum Step {
    Writes(Work),
    Ended(io::Result<()>),
    Gone,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Writer {
    /// Goes on as far as it can; true where it has come to its end.
    fn go_on(self: &Arc<Self>) -> bool {
        let waker = Waker::from(Arc::clone(self));
        let mut step = held(&self.work);
        if let Step::Writes(work) = &mut *step
            && let Poll::Ready(result) = work.as_mut().poll(&mut Context::from_waker(&waker))
        {
            *step = Step::Ended(result);
        }
        !matches!(*step, Step::Writes(_))
    }

    fn wake_task(&self) {
        let task = held(&self.task).clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl Wake for Writer {
    fn wake(self: Arc<Self>) {
        if !IS_OPEN.get() {
            self.wake_task();
        } else if !self.is_woken.swap(true, Ordering::Relaxed) {
            WOKEN.with_borrow_mut(|woken| woken.push(self));
        }
    }

    fn wake_by_ref(self: &Arc<Self>) {
        Arc::clone(self).wake();
    }
}

/// The task of a writer. What it hasn't written when this is dropped is dropped, too.
pub(super) struct Writing(Arc<Writer>);

impl Writing {
    pub(super) fn new(work: impl Future<Output = io::Result<()>> + Send + 'static) -> Self {
        Self(Arc::new(Writer {
            work: Mutex::new(Step::Writes(Box::pin(work))),
            task: Mutex::new(None),
            is_woken: AtomicBool::new(false),
        }))
    }
}

impl Future for Writing {
    type Output = io::Result<()>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let writer = &self.0;
        held(&writer.task)
            .get_or_insert_with(|| context.waker().clone())
            .clone_from(context.waker());
        if !writer.go_on() {
            return Poll::Pending;
        }
        match std::mem::replace(&mut *held(&writer.work), Step::Gone) {
            Step::Ended(result) => Poll::Ready(result),
            Step::Writes(_) | Step::Gone => Poll::Ready(Ok(())),
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let work = std::mem::replace(&mut *held(&self.0.work), Step::Gone);
        drop(work);
    }
}

/// A turn that is open on this thread, for as long as this is kept.
struct Turn;

impl Turn {
    fn open() -> Self {
        IS_OPEN.set(true);
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Who is woken from here on is polled by its own task: a writer that wakes itself is not polled
        // for ever.
        IS_OPEN.set(false);
        while let Some(writer) = WOKEN.with_borrow_mut(Vec::pop) {
            writer.is_woken.store(false, Ordering::Relaxed);
            if writer.go_on() {
                writer.wake_task();
            }
        }
    }
}

/// Polls what reads a connection, each time as a turn.
pub(super) async fn in_turns<T>(reading: impl Future<Output = T>) -> T {
    let mut reading = pin!(reading);
    poll_fn(|context| {
        let _turn = Turn::open();
        reading.as_mut().poll(context)
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Counts how often it is polled, and keeps who would wake it.
    fn counting(polled: &Arc<AtomicUsize>, waker: &Arc<Mutex<Option<Waker>>>) -> Writing {
        let (polled, waker) = (Arc::clone(polled), Arc::clone(waker));
        Writing::new(poll_fn(move |context| {
            polled.fetch_add(1, Ordering::Relaxed);
            *held(&waker) = Some(context.waker().clone());
            Poll::Pending
        }))
    }

    #[test]
    fn who_is_woken_in_a_turn_is_polled_once_at_its_end_and_else_by_its_task() {
        let (polled, waker) = (Arc::default(), Arc::default());
        let mut writing = counting(&polled, &waker);
        let (woken, task) = woken_task();
        let mut context = Context::from_waker(&task);
        assert!(Pin::new(&mut writing).poll(&mut context).is_pending());
        let wake = || held(&waker).clone().expect("it was polled").wake();
        let seen = || {
            (
                polled.load(Ordering::Relaxed),
                woken.0.load(Ordering::Relaxed),
            )
        };
        assert_eq!(seen(), (1, 0));
        wake();
        assert_eq!(seen(), (1, 1), "no turn is open");
        let turn = Turn::open();
        wake();
        wake();
        assert_eq!(seen(), (1, 1), "the turn isn't over");
        drop(turn);
        assert_eq!(seen(), (2, 1));
        wake();
        assert_eq!(seen(), (2, 2), "the turn is over");
    }

    #[test]
    fn what_is_dropped_is_woken_in_vain() {
        let (polled, waker) = (Arc::default(), Arc::default());
        let mut writing = counting(&polled, &waker);
        let (_, task) = woken_task();
        let mut context = Context::from_waker(&task);
        assert!(Pin::new(&mut writing).poll(&mut context).is_pending());
        drop(writing);
        let turn = Turn::open();
        held(&waker).take().expect("it was polled").wake();
        drop(turn);
        assert_eq!(polled.load(Ordering::Relaxed), 1);
    }

    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn woken_task() -> (Arc<Woken>, Waker) {
        let woken = Arc::new(Woken(AtomicUsize::new(0)));
        (Arc::clone(&woken), Waker::from(woken))
    }
}
