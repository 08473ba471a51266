//! Everybody a run reports to: its streams, or the table on the terminal.

use super::boot;
use super::desk::Desk;
use super::hello::new_session;
use super::session::{Asked, Session};
use super::signals::Signals;
use super::stream::Stream;
use super::table::Table;
use crate::clock::{Clock, Monotonic};
use crate::engine::Snapshot;
use crate::plan::Checked;
use crate::port::{Port, PortError, Sent, Target, Token};
use crate::record::{Body, End, EndReason};
use crate::units::Nanos;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::time::TimeSpec;
use std::io::{IsTerminal, stdout};
use std::os::fd::AsFd;
use std::rc::Rc;

/// Everybody a run reports to.
pub struct Audience {
    streams: Vec<Stream>,
    terminal: Option<Terminal>,
    start: Rc<Snapshot>,
}

/// The table, and the state its last line was taken against.
struct Terminal {
    table: Table,
    base: Rc<Snapshot>,
    port: Port,
    /// What the terminal has not taken yet.
    waiting: Vec<u8>,
}

/// Open targets, or the terminal when there are none.
pub struct Opened {
    streams: Vec<(Port, Session)>,
    terminal: Option<Port>,
}

impl Audience {
    /// Opens every target, before any memory is touched, and locks into memory what this program has by then, the
    /// outboxes among it: reporting does not wait for a swap. Where the kernel forbids that, it is left.
    ///
    /// # Errors
    /// When one of them cannot be opened.
    pub fn open(targets: &[Target], token: Option<&Token>) -> Result<Opened, PortError> {
        let id = new_session();
        let open = |target| Port::open_with(target, token).map(|port| (port, Session::new(id)));
        let overwritten: Vec<String> = targets.iter().filter_map(overwritten).collect();
        let streams = targets.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        for sentence in &overwritten {
            boot::announce(sentence);
        }
        // Where people look on, they are shown the table, whatever else hears of the run; a VM's console is too slow for that.
        let is_watched = stdout().is_terminal() && !boot::is_init() && !targets.contains(&Target::Stdout);
        let terminal =
            if streams.is_empty() || is_watched { Some(Port::open(&Target::Stdout)?) } else { None };
        let _ = mlockall(MlockAllFlags::MCL_CURRENT);
        Ok(Opened { streams, terminal })
    }

    /// Listeners on open targets; counts begin at `start`.
    pub fn new(opened: Opened, start: &Rc<Snapshot>) -> Self {
        let terminal = opened.terminal.map(|port| Terminal {
            table: Table::default(),
            base: Rc::clone(start),
            port,
            waiting: Vec::new(),
        });
        let streams = opened.streams.into_iter();
        let streams = streams.map(|(port, session)| Stream::new(port, session, start)).collect();
        Self { streams, terminal, start: Rc::clone(start) }
    }

    /// Says something that everybody must hear.
    pub fn say(&mut self, mono_ns: u64, body: &Body) {
        for stream in &mut self.streams {
            stream.say(mono_ns, body.clone());
        }
    }

    /// Offers a detail, which a slow reader does not get.
    pub fn offer_detail(&mut self, mono_ns: u64, body: &Body) {
        for stream in &mut self.streams {
            stream.offer_detail(mono_ns, body.clone());
        }
    }

    /// Offers what says how later records are to be read, which only those do not get for whom nothing fits any more.
    pub fn offer_news(&mut self, mono_ns: u64, body: &Body) {
        for stream in &mut self.streams {
            stream.offer_news(mono_ns, body.clone());
        }
    }

    /// Offers everybody the interval since the last one they took.
    pub fn offer_interval(&mut self, now: &Rc<Snapshot>, plan: &Checked, phase: &str) {
        for stream in &mut self.streams {
            stream.offer_interval(now, plan, phase);
        }
        // A terminal that is held up gets fewer lines, each of them over a longer time.
        if let Some(terminal) = self.terminal.as_mut().filter(|terminal| terminal.waiting.is_empty()) {
            let text = terminal.table.interval(&now.interval_since(&terminal.base, plan, phase));
            terminal.base = Rc::clone(now);
            terminal.waiting.extend(text.as_bytes());
        }
    }

    /// Tells everybody why the run ended, with the sums. The records given up are those of the target that got the fewest.
    pub fn end(&mut self, last: &Snapshot, reason: EndReason, detail: Option<String>) -> End {
        let mut end = last.end(&self.start, reason, detail, 0);
        for stream in &mut self.streams {
            stream.end(last.at_ns, end.clone());
        }
        if let Some(terminal) = &mut self.terminal {
            terminal.waiting.extend(Table::end(&end).as_bytes());
        }
        let given_up = self.streams.iter().map(Stream::given_up).max();
        // The terminal alone is shown sums, not records.
        end.records_dropped = given_up.map_or(0, |given_up| given_up.saturating_add(end.records_dropped));
        end
    }

    /// Sends what can be sent and hears what was said.
    ///
    /// # Errors
    /// When a target is gone for good: says which and why.
    pub fn exchange(&mut self, now_ns: u64, desk: &mut Desk) -> Result<Vec<Asked>, String> {
        let mut asked = Vec::new();
        for stream in &mut self.streams {
            asked.extend(stream.listen(now_ns, desk).map_err(|error| error.to_string())?);
            stream.pump(now_ns).map_err(|error| error.to_string())?;
        }
        if let Some(terminal) = &mut self.terminal {
            terminal.pump(now_ns)?;
        }
        Ok(asked)
    }

    /// Waits until a port or a signal wants attention, or until `deadline_ns`.
    pub fn wait(&mut self, signals: &Signals, deadline_ns: u64) {
        let left_ns = deadline_ns.saturating_sub(Monotonic.now_ns());
        let mut fds = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        let interests = self.streams.iter_mut().filter_map(Stream::interest);
        fds.extend(interests.map(|(fd, flags)| PollFd::new(fd, flags)));
        // Woken early or not, the caller looks at everything again.
        let _ = ppoll(&mut fds, Some(TimeSpec::from_duration(Nanos(left_ns).into())), None);
    }

    /// Whether a host that spoke over a network is to have everything.
    pub fn expects_hosts(&self) -> bool {
        self.streams.iter().any(Stream::is_expected)
    }

    /// Sends what is left to everybody who reads, until `limit_ns` or a further signal. The first target that could
    /// not take it, and why; that nobody reads a VM's port is only said.
    pub fn flush(&mut self, signals: &Signals, desk: &mut Desk, limit_ns: u64) -> Option<String> {
        let mut failure = None;
        loop {
            let now_ns = Monotonic.now_ns();
            let mut waiting = false;
            for stream in &mut self.streams {
                // What it hears is what the host has, or wants again; an error is the next one's, too.
                let _ = stream.hear_last(now_ns, desk);
                match stream.finish(now_ns) {
                    Ok(done) => waiting |= !done && stream.is_awaited(),
                    Err(error) => failure = failure.or(Some(error.to_string())),
                }
            }
            if let Some(terminal) = &mut self.terminal {
                match terminal.finish(now_ns) {
                    Ok(done) => waiting |= !done,
                    Err(error) => failure = failure.or(Some(error)),
                }
            }
            if !waiting || now_ns >= limit_ns || signals.received().is_some() {
                break;
            }
            self.wait(signals, limit_ns.min(now_ns.saturating_add(FLUSH_STEP.0)));
        }
        for unread in self.streams.iter_mut().filter_map(Stream::unread) {
            if unread.is_lost {
                failure = failure.or(Some(unread.text));
            } else {
                boot::announce(&unread.text);
            }
        }
        failure
    }
}

/// What opening `target` takes away, in a sentence; none where that is nothing.
fn overwritten(target: &Target) -> Option<String> {
    let Target::File(path) = target else { return None };
    let held = std::fs::metadata(path).ok().filter(|found| found.is_file() && found.len() > 0)?;
    Some(format!("{target} is begun anew: the {} bytes it held are gone", held.len()))
}

/// How long a flush sleeps at most before it looks again at ports that cannot be polled.
const FLUSH_STEP: Nanos = Nanos::from_ms(10);

impl Terminal {
    /// Prints what the terminal takes now.
    fn pump(&mut self, now_ns: u64) -> Result<(), String> {
        let failed = |error: PortError| format!("the table cannot be printed: {error}");
        self.port.receive(&mut []).map_err(failed)?;
        while !self.waiting.is_empty() {
            match self.port.send(now_ns, &self.waiting).map_err(failed)? {
                Sent::Bytes(0) | Sent::Reconnecting | Sent::Reopened => break,
                Sent::Bytes(count) => drop(self.waiting.drain(..count)),
            }
        }
        Ok(())
    }

    /// Prints the last of it; whether all is printed.
    fn finish(&mut self, now_ns: u64) -> Result<bool, String> {
        self.pump(now_ns)?;
        if !self.waiting.is_empty() {
            return Ok(false);
        }
        self.port.finish(now_ns).map_err(|error| format!("the table cannot be printed: {error}"))
    }
}
