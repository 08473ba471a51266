//! What is asked of a connection.

use crate::record::Command;
use crate::wire::encode_command;
use tokio::sync::oneshot;

/// What is asked of a connection.
#[derive(Debug)]
pub enum Request {
    /// To say a line to the guest, newline included, and to hand on its answer where somebody waits for it.
    Say(Vec<u8>, Option<ReplyTo>),
    /// To break off with all that is on its way, and to connect anew.
    BreakOff,
}

/// Where the answer to a command goes.
#[derive(Debug)]
pub struct ReplyTo {
    /// The command's id, which the reply repeats.
    pub id: u64,
    /// Where the reply's line goes, or why there is none.
    pub to: oneshot::Sender<Result<String, String>>,
}

impl Request {
    /// A command whose answer nobody waits for.
    pub fn of(command: &Command) -> Self {
        Self::Say(encode_command(command), None)
    }

    /// Says why there is no reply.
    pub fn refuse(self, why: &str) {
        if let Self::Say(_, Some(answer)) = self {
            answer.refuse(why);
        }
    }
}

impl ReplyTo {
    /// Says why there is no reply.
    pub fn refuse(self, why: &str) {
        // Who asked may have gone.
        let _ = self.to.send(Err(why.to_owned()));
    }
}
