//! Commands while a collector holds the sockets: a guest's port takes one client at a time, so they go through it.
//!
//! The socket `ctl.sock` in the collector's directory takes one line `{"vm":NAME,"command":{...}}` for each connection
//! and answers with the guest's reply, or with `{"error":...}`.

use super::desk::Desk;
use super::request::{ReplyTo, Request};
use crate::wire::COMMAND_LIMIT_BYTES;
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{fs, io, path::Path, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::{Semaphore, mpsc, oneshot},
    time,
};

/// The collector's own socket, in its directory.
pub const CONTROL_SOCKET: &str = "ctl.sock";
/// How long a line and the guest's answer may take.
const LINE_LIMIT: Duration = Duration::from_secs(5);
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// A guest that has not answered for so long may have moved: then it is given the command where it is now.
const MOVE_LIMIT: Duration = Duration::from_millis(500);
/// How many commands are under way at once.
const AT_ONCE: usize = 16;

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

/// Answers everybody who asks, for ever.
pub async fn serve(listener: UnixListener, desk: Arc<Desk>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let desk = Arc::clone(&desk);
                tokio::spawn(async move {
                    // Whoever asked sees the connection close when it cannot be answered.
                    let _ = answer(stream, &desk).await;
                    drop(place);
                });
            }
            // Without descriptors there is none to take: later there may be.
            Err(_) => time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn answer(mut stream: UnixStream, desk: &Desk) -> io::Result<()> {
    let mut line = Vec::new();
    let mut reader = BufReader::new(&mut stream).take(2 * COMMAND_LIMIT_BYTES as u64);
    time::timeout(LINE_LIMIT, reader.read_until(b'\n', &mut line)).await??;
    let reply = match serde_json::from_slice(&line) {
        Ok(order) => forward(desk, order).await,
        Err(error) => Err(format!("expected {{\"vm\":NAME,\"command\":{{...}}}}: {error}")),
    };
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
        format!(
            "no collector is at work in {}: `sully-lab collect SOCKET... --out DIR` is one",
            out.display()
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
        bail!("the collector closed the connection without an answer");
    }
    Ok(reply)
}
