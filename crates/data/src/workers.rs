//! Threads that make numbered things ahead of time, handed out in the order of the numbers.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// The things `make(n)` for every `n` of a range, in order, made by `workers` threads; by the caller if there are none.
///
/// At most `workers + 2` things are begun and not yet handed out. Dropping it tells `make` to stop, and waits for the
/// threads. Where `make` panics, so does whoever asks for what it should have made.
pub struct Ordered<T, M> {
    shared: Arc<Shared<T, M>>,
    threads: Vec<JoinHandle<()>>,
    end: usize,
}

struct Shared<T, M> {
    make: M,
    stop: AtomicBool,
    state: Mutex<State<T>>,
    /// Something was made, or handed out.
    changed: Condvar,
}

struct State<T> {
    /// The next to begin.
    next: usize,
    /// The next to hand out.
    wanted: usize,
    made: BTreeMap<usize, T>,
    /// A thread has panicked.
    broken: bool,
}

/// Says so when the thread that holds it panics, so that nobody waits for what will never come.
struct Alarm<'a, T, M>(&'a Shared<T, M>);

impl<T, M> Drop for Alarm<'_, T, M> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().broken = true;
            self.0.changed.notify_all();
        }
    }
}

impl<T, M> Shared<T, M> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T, M> Ordered<T, M>
where
    T: Send + 'static,
    M: Fn(usize, &AtomicBool) -> T + Send + Sync + 'static,
{
    /// Begins at once.
    pub fn new(range: Range<usize>, workers: usize, make: M) -> Self {
        let state = State { next: range.start, wanted: range.start, made: BTreeMap::new(), broken: false };
        let state = Mutex::new(state);
        let shared = Arc::new(Shared { make, stop: AtomicBool::new(false), state, changed: Condvar::new() });
        let workers = workers.min(range.len());
        let thread = |_| {
            let shared = shared.clone();
            std::thread::spawn(move || work(&shared, range.end, workers + 2))
        };
        let threads = (0..workers).map(thread).collect();
        Self { shared, threads, end: range.end }
    }
}

fn work<T, M: Fn(usize, &AtomicBool) -> T>(shared: &Shared<T, M>, end: usize, ahead: usize) {
    let _alarm = Alarm(shared);
    loop {
        let mut state = shared.lock();
        while state.next < end && state.next >= state.wanted + ahead && !shared.stop.load(Ordering::Relaxed) {
            state = shared.wait(state);
        }
        if state.next >= end || shared.stop.load(Ordering::Relaxed) {
            return;
        }
        let number = state.next;
        state.next += 1;
        drop(state);
        let thing = (shared.make)(number, &shared.stop);
        shared.lock().made.insert(number, thing);
        shared.changed.notify_all();
    }
}

impl<T, M: Fn(usize, &AtomicBool) -> T> Iterator for Ordered<T, M> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let mut state = self.shared.lock();
        let number = state.wanted;
        if number >= self.end {
            return None;
        }
        if self.threads.is_empty() {
            state.wanted += 1;
            drop(state);
            return Some((self.shared.make)(number, &self.shared.stop));
        }
        loop {
            if let Some(thing) = state.made.remove(&number) {
                state.wanted += 1;
                drop(state);
                self.shared.changed.notify_all();
                return Some(thing);
            }
            assert!(!state.broken, "a thread panicked; it said why on standard error");
            state = self.shared.wait(state);
        }
    }
}

impl<T, M> Drop for Ordered<T, M> {
    fn drop(&mut self) {
        {
            // Under the lock, so that no thread is between looking at `stop` and waiting.
            let _state = self.shared.lock();
            self.shared.stop.store(true, Ordering::Relaxed);
        }
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            // A panic was told on standard error by the thread itself, and there is nobody to tell it to here.
            let _ = thread.join();
        }
    }
}
