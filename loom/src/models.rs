//! What must hold however loads and stores are ordered.
//!
//! Who loads yields first: loom forgets that a load was there to be overtaken once the thread that stores has loaded the same.

use crate::{
    calls::Calls,
    epochs::Epochs,
    ring::{RING_WORDS, Ring},
    status::WriterStatus,
};
use loom::{
    model,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    thread,
};

#[test]
fn a_writer_that_waits_for_another_call_has_found_every_order_of_the_calls_before() {
    model(|| {
        // The channel says whether it is empty by an ordinary load, as the standard library's does.
        let shared = Arc::new((Calls::default(), AtomicU32::new(0)));
        let giver = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                for order in 1..=2 {
                    shared.1.store(order, Ordering::Relaxed);
                    shared.0.call();
                }
            })
        };
        // As the worker's loop does it: first the count, then the channel; it waits for another count than that.
        let (calls, sent) = (&shared.0, &shared.1);
        thread::yield_now();
        let taken_up = calls.count();
        let found = sent.load(Ordering::Relaxed);
        assert!(found >= taken_up, "it waits for call {} and has found order {found}", taken_up + 1);
        giver.join().unwrap();
        assert_eq!(calls.count(), 2);
    });
}

#[test]
fn what_came_before_the_stop_is_seen_by_who_sees_the_stop() {
    model(|| {
        let shared = Arc::new((Calls::default(), AtomicU64::new(0)));
        let giver = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.1.store(7, Ordering::Relaxed);
                shared.0.stop();
                shared.0.call();
            })
        };
        if shared.0.stopped() {
            assert_eq!(shared.1.load(Ordering::Relaxed), 7);
        }
        giver.join().unwrap();
        assert!(shared.0.stopped(), "a call after the stop does not undo it");
    });
}

#[test]
fn the_loads_taken_up_and_the_visits_past_by_then_belong_together() {
    model(|| {
        let status = Arc::new(WriterStatus::default());
        let writer = {
            let status = Arc::clone(&status);
            thread::spawn(move || (1..=3).for_each(|change| status.take_up(change * 10)))
        };
        let taken_up = status.taken_up();
        assert_eq!(taken_up.past, u64::from(taken_up.changes) * 10);
        writer.join().unwrap();
    });
}

#[test]
fn sweeps_that_have_ended_have_their_pages() {
    model(|| {
        let status = Arc::new(WriterStatus::default());
        let writer = {
            let status = Arc::clone(&status);
            thread::spawn(move || {
                status.swept(5);
                status.swept(5);
                status.mark();
            })
        };
        thread::yield_now();
        let (sweeps, pages) = status.sweeps();
        assert!(pages >= u64::from(sweeps) * 5 && pages <= 10);
        writer.join().unwrap();
        assert_eq!((status.sweeps(), status.marks()), ((2, 10), 1));
    });
}

#[test]
fn records_cross_the_ring_whole_and_in_order_or_are_counted_as_dropped() {
    model(|| {
        let ring = Arc::new(Ring::new());
        let pushing = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || (1..=3).for_each(|number| ring.push([number; RING_WORDS])))
        };
        let (mut taken, mut last) = (0, 0);
        let mut take = || {
            while let Some(words) = ring.pop() {
                assert!(words == [words[0]; RING_WORDS] && (last + 1..=3).contains(&words[0]), "{words:?}");
                (taken, last) = (taken + 1, words[0]);
            }
        };
        thread::yield_now();
        take();
        pushing.join().unwrap();
        take();
        assert_eq!(taken + ring.dropped(), 3);
    });
}

#[test]
fn visits_of_an_epoch_that_has_begun_are_not_taken_for_those_before_it() {
    model(|| {
        let shared = Arc::new((Epochs::default(), AtomicU32::new(1)));
        let writer = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let mut before = 0;
                for _ in 0..3 {
                    let epoch = shared.1.load(Ordering::Relaxed);
                    shared.0.visited(epoch, false);
                    before += u64::from(epoch == 1);
                }
                before
            })
        };
        shared.1.fetch_add(1, Ordering::Relaxed);
        let (found, _) = shared.0.before(2);
        let before = writer.join().unwrap();
        assert!(found <= before, "{found} of {before}");
        assert_eq!(shared.0.before(2).0, before, "and in the end all of them are");
    });
}
