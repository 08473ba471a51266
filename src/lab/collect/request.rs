//! A command on its way to a guest.

use tokio::sync::oneshot;

/// A command for a guest.
#[derive(Debug)]
pub struct Request {
    /// Its line, newline included.
    pub line: Vec<u8>,
    /// Its id, which the reply repeats.
    pub id: u64,
    /// Where the reply's line goes, or why there is none.
    pub answer: oneshot::Sender<Result<String, String>>,
}

impl Request {
    /// Says why there is no reply.
    pub fn refuse(self, why: &str) {
        // Who asked may have gone.
        let _ = self.answer.send(Err(why.to_owned()));
    }
}
