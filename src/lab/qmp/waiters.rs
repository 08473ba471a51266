//! The commands in flight: who waits for which answer, and what everybody is told when the connection ends.

use super::QmpError;
use serde_json::Value;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;

/// An answer of QEMU as its waiter gets it.
pub type Answer = Result<Value, QmpError>;

/// Shared between the callers, who enter and leave, and the reader, who answers. Never locked across an await.
#[derive(Debug, Clone, Default)]
pub struct Waiters(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    next_id: u64,
    waiting: HashMap<u64, (String, oneshot::Sender<Answer>)>,
    /// Why the connection ended, once it has.
    ended: Option<QmpError>,
}

/// One place in the queue; leaving it (an answer, a time limit, a cancelled caller) gives it up.
#[derive(Debug)]
pub struct Place {
    /// The id the command has to be sent with.
    pub id: u64,
    /// Where the answer comes.
    pub answer: oneshot::Receiver<Answer>,
    waiters: Waiters,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiters.lock().waiting.remove(&self.id);
    }
}

impl Waiters {
    /// Enters a command.
    ///
    /// # Errors
    /// The reason the connection ended, if it has.
    pub fn enter(&self, command: &str) -> Result<Place, QmpError> {
        let mut state = self.lock();
        if let Some(reason) = &state.ended {
            return Err(reason.clone());
        }
        let (sender, answer) = oneshot::channel();
        let id = state.next_id;
        state.next_id += 1;
        state.waiting.insert(id, (command.to_owned(), sender));
        drop(state);
        Ok(Place { id, answer, waiters: self.clone() })
    }

    /// QEMU did command `id`. An answer nobody waits for any more is dropped.
    pub fn done(&self, id: u64, value: Value) {
        if let Some((_, sender)) = self.lock().waiting.remove(&id) {
            let _ = sender.send(Ok(value));
        }
    }

    /// QEMU refused command `id`.
    pub fn refused(&self, id: u64, class: String, desc: String) {
        if let Some((command, sender)) = self.lock().waiting.remove(&id) {
            let _ = sender.send(Err(QmpError::Refused { command, class, desc }));
        }
    }

    /// The connection ended: every waiter is told, and everybody who comes later.
    pub fn end(&self, reason: &QmpError) {
        let mut state = self.lock();
        state.ended.get_or_insert_with(|| reason.clone());
        for (_, (_, sender)) in state.waiting.drain() {
            let _ = sender.send(Err(reason.clone()));
        }
    }

    /// A panic of another holder cannot leave the map half changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_find_their_command_in_any_order() {
        let waiters = Waiters::default();
        let mut first = waiters.enter("query-status").unwrap();
        let mut second = waiters.enter("nope").unwrap();
        waiters.refused(second.id, "CommandNotFound".into(), "unknown".into());
        waiters.done(first.id, Value::from(7));
        assert_eq!(first.answer.try_recv().unwrap(), Ok(Value::from(7)));
        let refusal = second.answer.try_recv().unwrap().unwrap_err();
        assert!(matches!(refusal, QmpError::Refused { ref command, .. } if command == "nope"), "{refusal}");
    }

    #[test]
    fn who_leaves_is_forgotten_and_a_late_answer_harms_nobody() {
        let waiters = Waiters::default();
        let place = waiters.enter("stop").unwrap();
        let id = place.id;
        drop(place);
        assert!(waiters.lock().waiting.is_empty());
        waiters.done(id, Value::Null);
        assert_ne!(waiters.enter("stop").unwrap().id, id, "an id is never used twice");
    }

    #[test]
    fn the_end_reaches_who_waits_and_who_comes_later() {
        let waiters = Waiters::default();
        let mut place = waiters.enter("stop").unwrap();
        waiters.end(&QmpError::Closed);
        assert_eq!(place.answer.try_recv().unwrap(), Err(QmpError::Closed));
        assert_eq!(waiters.enter("stop").unwrap_err(), QmpError::Closed);
    }
}
