//! Commands while a collector holds the sockets: a guest's port takes one client at a time, so they go through it.
//!
//! The socket `ctl.sock` in the collector's directory takes one line `{"vm":NAME,"command":{...}}` for each connection
//! and answers with the guest's reply, or with `{"error":...}`.

use super::desk::Desk;
use super::ended::session_end;
use super::request::{ReplyTo, Request};
use crate::wire::COMMAND_LIMIT_BYTES;
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{collections::VecDeque, fs, io, path::Path, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::{Semaphore, mpsc, oneshot},
    task::{AbortHandle, JoinSet},
    time,
};

/// The collector's own socket, in its directory.
pub const CONTROL_SOCKET: &str = "ctl.sock";
/// What the collector answers itself, in place of a VM that may be gone: whether it has ended, and how.
pub const AWAITED_END: &str = "awaited_end";
/// How long a line and the guest's answer may take.
const LINE_LIMIT: Duration = Duration::from_secs(5);
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// A guest that has not answered for so long may have moved: then it is given the command where it is now.
const MOVE_LIMIT: Duration = Duration::from_millis(500);
/// How many commands are under way at once, and how many connections may be open that have not given theirs.
const AT_ONCE: usize = 16;
const SILENT_AT_ONCE: usize = 64;

#[derive(Serialize, Deserialize)]
struct Order {
    #[serde(skip_serializing_if = "Option::is_none")]
    vm: Option<String>,
    command: Map<String, Value>,
}

/// Opens the collector's own socket. One that a dead collector left is replaced.
///
/// # Errors
/// When another collector is at work in the directory, or no socket can be made there.
pub async fn listen(out: &Path) -> anyhow::Result<UnixListener> {
    let path = out.join(CONTROL_SOCKET);
    if UnixStream::connect(&path).await.is_ok() {
        bail!("another collector is at work in {}: give another --out", out.display());
    }
    if let Err(error) = fs::remove_file(&path)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error).with_context(|| format!("{} is in the way", path.display()));
    }
    UnixListener::bind(&path).with_context(|| {
        format!(
            "{} cannot be made (a socket's path has at most 107 bytes): give a shorter --out",
            path.display()
        )
    })
}

/// Removes the socket.
pub fn remove(out: &Path) {
    // Gone is gone.
    let _ = fs::remove_file(out.join(CONTROL_SOCKET));
}

/// Answers everybody who asks, for ever. Who connects and gives no command holds up nobody: of too many such the one that
/// came first is dropped.
pub async fn serve(listener: UnixListener, desk: Arc<Desk>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut commands = JoinSet::new();
    let mut silent: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    silent.retain(|reading| !reading.is_finished());
                    if silent.len() >= SILENT_AT_ONCE && let Some(first) = silent.pop_front() {
                        first.abort();
                    }
                    silent.push_back(commands.spawn(command(stream)));
                }
                // Without descriptors there is none to take: later there may be.
                Err(_) => time::sleep(Duration::from_millis(100)).await,
            },
            Some(read) = commands.join_next() => {
                let Ok(Ok((stream, line))) = read else { continue };
                let (desk, place) = (Arc::clone(&desk), Arc::clone(&places).try_acquire_owned());
                tokio::spawn(async move {
                    let reply = match &place {
                        Ok(_) => answer(&line, &desk).await,
                        Err(_) => Err(format!("{AT_ONCE} commands are under way already: try again")),
                    };
                    // Whoever asked sees the connection close when it cannot be answered.
                    let _ = time::timeout(LINE_LIMIT, say(stream, reply)).await;
                    drop(place);
                });
            }
        }
    }
}

/// The line that a connection begins with.
async fn command(mut stream: UnixStream) -> io::Result<(UnixStream, Vec<u8>)> {
    let mut line = Vec::new();
    let mut reader = BufReader::new(&mut stream).take(2 * COMMAND_LIMIT_BYTES as u64);
    time::timeout(LINE_LIMIT, reader.read_until(b'\n', &mut line)).await??;
    Ok((stream, line))
}

async fn answer(line: &[u8], desk: &Desk) -> Result<String, String> {
    match serde_json::from_slice(line) {
        Ok(order) => forward(desk, order).await,
        Err(error) => Err(format!("expected {{\"vm\":NAME,\"command\":{{...}}}}: {error}")),
    }
}

async fn say(mut stream: UnixStream, reply: Result<String, String>) -> io::Result<()> {
    let mut text = reply.unwrap_or_else(|error| serde_json::json!({ "error": error }).to_string());
    text.push('\n');
    stream.write_all(text.as_bytes()).await
}

async fn forward(desk: &Desk, order: Order) -> Result<String, String> {
    let id =
        order.command.get("id").and_then(Value::as_u64).ok_or("a command needs an id, a whole number")?;
    let mut line = serde_json::to_vec(&order.command).map_err(|error| error.to_string())?;
    line.push(b'\n');
    if line.len() > COMMAND_LIMIT_BYTES {
        return Err(format!("the command is longer than {COMMAND_LIMIT_BYTES} bytes"));
    }
    if order.command.get("type").and_then(Value::as_str) == Some(AWAITED_END) {
        let ended = session_end(order.vm.as_deref(), &desk.views())?;
        return Ok(serde_json::json!({ "ended": ended }).to_string());
    }
    let find = || desk.find(order.vm.as_deref());
    let mut vm = find()?;
    let mut answered = give(&vm, &line, id)?;
    let end = time::Instant::now() + ANSWER_LIMIT;
    while time::Instant::now() < end {
        match time::timeout(MOVE_LIMIT, &mut answered).await {
            Ok(Ok(reply)) => return reply,
            Ok(Err(_)) => return Err("the VM's connection broke before it answered".into()),
            // A migration may have overtaken the command: where it went there is no guest any more.
            Err(_) => {
                if let Ok(now) = find()
                    && !now.same_channel(&vm)
                {
                    vm = now;
                    answered = give(&vm, &line, id)?;
                }
            }
        }
    }
    Err(format!("the guest did not answer within {} s", ANSWER_LIMIT.as_secs()))
}

fn give(
    vm: &mpsc::Sender<Request>,
    line: &[u8],
    id: u64,
) -> Result<oneshot::Receiver<Result<String, String>>, String> {
    let (to, answered) = oneshot::channel();
    let full = |_| "the VM has too many commands to answer already".to_owned();
    vm.try_send(Request::Say(line.to_vec(), Some(ReplyTo { id, to }))).map_err(full)?;
    Ok(answered)
}

/// Asks the collector at work in `out` to give `command` to a VM; what it answered, a reply's line or an error's.
///
/// # Errors
/// When no collector is at work there, or it does not answer.
pub async fn ask(out: &Path, vm: Option<&str>, command: &Map<String, Value>) -> anyhow::Result<String> {
    let path = out.join(CONTROL_SOCKET);
    let none = || {
        let out = out.display();
        format!(
            "no collector is at work in {out}, and what is in there stays as it is. To give commands, name the VM's own socket, \
             or start a collector, which goes on where the last one stopped: sully-lab collect SOCKET... --out {out}"
        )
    };
    let mut stream = UnixStream::connect(&path).await.with_context(none)?;
    let order = Order { vm: vm.map(str::to_owned), command: command.clone() };
    let mut line = serde_json::to_vec(&order)?;
    line.push(b'\n');
    let asking = async {
        stream.write_all(&line).await?;
        let mut reply = String::new();
        BufReader::new(&mut stream).take(1 << 20).read_line(&mut reply).await?;
        Ok::<_, io::Error>(reply)
    };
    let reply =
        time::timeout(ANSWER_LIMIT + LINE_LIMIT, asking).await.context("the collector does not answer")??;
    if reply.is_empty() {
        bail!(
            "the collector closed the connection without an answer: it ended, or too many are open; try again"
        );
    }
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{runtime, task};

    #[test]
    fn whoever_connects_and_says_nothing_holds_up_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let desk = Arc::new(Desk::open(dir.path(), 1 << 20).unwrap());
            let serving = task::spawn(serve(listen(dir.path()).await.unwrap(), desk));
            let mut silent = Vec::new();
            for _ in 0..300 {
                silent.push(UnixStream::connect(dir.path().join(CONTROL_SOCKET)).await.unwrap());
            }
            let command = serde_json::from_str(r#"{"type":"ping","id":7}"#).unwrap();
            let asked = time::timeout(LINE_LIMIT / 2, ask(dir.path(), None, &command)).await;
            let reply = asked.expect("at once").unwrap();
            assert!(reply.contains("which VM is meant?"), "{reply}");
            let mut first = Vec::new();
            assert_eq!(silent[0].read_to_end(&mut first).await.unwrap(), 0, "the first is dropped");
            serving.abort();
        });
    }
}
