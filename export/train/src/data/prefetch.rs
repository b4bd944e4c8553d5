//! Batches made ahead of their use by several workers, and handed out in order.

use std::ops::Range;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};

use super::batch::{Batch, Batches};
use super::error::DataError;

/// Batches ready before they are asked for, of all workers together but at least one of each. A worker
/// waits when so many are.
const READY_BATCHES: usize = 4;

/// The batches of `numbers`, made by `makers` in turn: worker *w* of *n* makes every *n*-th from the *w*-th on.
/// So they come in order, whichever is the fastest, and no more than are asked for. Dropping them stops the
/// workers at their next batch.
pub(super) fn ahead<M>(makers: Vec<M>, numbers: Range<usize>) -> Result<Batches, DataError>
where
    M: FnMut(usize) -> Result<Batch, DataError> + Send + 'static,
{
    let count = makers.len();
    let ready = (READY_BATCHES / count.max(1)).max(1);
    let start = |(index, mut make): (usize, M)| {
        let (sender, receiver) = sync_channel(ready);
        let own = numbers.clone().skip(index).step_by(count);
        let work = move || {
            for number in own {
                // The reader hung up: nobody wants the rest.
                if sender.send(make(number)).is_err() {
                    return;
                }
            }
        };
        let handle = thread::Builder::new().name(format!("batches-{index}")).spawn(work);
        let handle = handle.map_err(|source| DataError::Run { command: "batches".into(), source })?;
        Ok(Worker { receiver: Some(receiver), handle: Some(handle) })
    };
    let workers = makers.into_iter().enumerate().map(start).collect::<Result<Vec<_>, _>>()?;
    Ok(Box::new(Ahead { workers, turn: 0 }))
}

struct Ahead {
    workers: Vec<Worker>,
    turn: usize,
}

struct Worker {
    receiver: Option<Receiver<Result<Batch, DataError>>>,
    handle: Option<JoinHandle<()>>,
}

impl Iterator for Ahead {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let count = self.workers.len().max(1);
        let worker = self.workers.get_mut(self.turn)?;
        self.turn = (self.turn + 1) % count;
        let next = worker.receiver.as_ref()?.recv();
        if next.is_err() && worker.handle.take().is_some_and(|handle| handle.join().is_err()) {
            // A short epoch must not pass for a whole one.
            panic!("a worker that makes batches panicked");
        }
        next.ok()
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        // Hanging up ends every worker at its next batch; all are told before one is waited for.
        self.workers.iter_mut().for_each(|worker| drop(worker.receiver.take()));
        for worker in &mut self.workers {
            if let Some(handle) = worker.handle.take() {
                // Its panic, if any, concerned batches that nobody wanted.
                let _ = handle.join();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn numbered(number: usize) -> Batch {
        Batch { samples: vec![number], ..Batch::default() }
    }

    #[test]
    fn batches_come_in_order_from_however_many_workers() {
        for workers in 1..5 {
            for numbers in [0..0, 0..1, 0..11, 3..11] {
                let makers = (0..workers).map(|_| |number| Ok(numbered(number))).collect();
                let found: Vec<usize> =
                    ahead(makers, numbers.clone()).unwrap().map(|batch| batch.unwrap().samples[0]).collect();
                assert_eq!(found, numbers.collect::<Vec<_>>(), "{workers} workers");
            }
        }
    }

    #[test]
    fn no_more_are_made_than_may_be_ready() {
        let made = Arc::new(AtomicUsize::new(0));
        let maker = |made: Arc<AtomicUsize>| {
            move |number| {
                made.fetch_add(1, Ordering::SeqCst);
                Ok(numbered(number))
            }
        };
        let makers = (0..2).map(|_| maker(Arc::clone(&made))).collect();
        let mut batches = ahead(makers, 0..1000).unwrap();
        batches.next().unwrap().unwrap();
        drop(batches);
        // Of each worker: two ready, one taken, one in the making, and one more after hanging up.
        assert!(made.load(Ordering::SeqCst) <= 10, "{made:?}");
    }

    #[test]
    fn an_error_comes_in_its_place() {
        let make = |number| match number {
            1 => Err(DataError::unusable("broken")),
            number => Ok(numbered(number)),
        };
        let found: Vec<bool> = ahead(vec![make; 2], 0..4).unwrap().map(|batch| batch.is_ok()).collect();
        assert_eq!(found, [true, false, true, true]);
    }

    #[test]
    #[should_panic(expected = "a worker that makes batches panicked")]
    fn a_worker_that_panics_does_not_pass_for_the_end() {
        let make = |number| if number == 2 { panic!("made to") } else { Ok(numbered(number)) };
        ahead(vec![make; 2], 0..4).unwrap().for_each(drop);
    }
}
