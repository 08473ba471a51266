//! Everybody a run reports to: its streams, or the table on the terminal.

use super::hello::new_session;
use super::session::Asked;
use super::signals::Signals;
use super::stream::Stream;
use super::table::Table;
use crate::clock::{Clock, Monotonic};
use crate::engine::Snapshot;
use crate::plan::Checked;
use crate::port::{Port, PortError, Target};
use crate::record::{Body, End, EndReason};
use crate::units::Nanos;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use std::io::Write;
use std::os::fd::AsFd;

/// Everybody a run reports to.
pub struct Audience {
    streams: Vec<Stream>,
    terminal: Option<Terminal>,
    start: Snapshot,
}

/// The table, and the state its last line was taken against.
struct Terminal {
    table: Table,
    base: Snapshot,
    failure: Option<String>,
}

impl Audience {
    /// Opens every target, before any memory is touched.
    ///
    /// # Errors
    /// When one of them cannot be opened.
    pub fn open(targets: &[Target]) -> Result<Vec<Port>, PortError> {
        targets.iter().map(Port::open).collect()
    }

    /// Listeners on open ports, or the terminal when there are none; counts begin at `start`.
    pub fn new(ports: Vec<Port>, start: &Snapshot) -> Self {
        let session = new_session();
        let terminal = ports.is_empty().then(|| Terminal {
            table: Table::default(),
            base: start.clone(),
            failure: None,
        });
        let streams = ports.into_iter().map(|port| Stream::new(port, session, start)).collect();
        Self { streams, terminal, start: start.clone() }
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

    /// Offers everybody the interval since the last one they took.
    pub fn offer_interval(&mut self, now: &Snapshot, plan: &Checked, phase: &str) {
        for stream in &mut self.streams {
            stream.offer_interval(now, plan, phase);
        }
        if let Some(terminal) = &mut self.terminal {
            let text = terminal.table.interval(&now.interval_since(&terminal.base, plan, phase));
            terminal.base = now.clone();
            terminal.print(&text);
        }
    }

    /// Tells everybody why the run ended, with the sums.
    pub fn end(&mut self, last: &Snapshot, reason: EndReason, detail: Option<String>) -> End {
        let end = last.end(&self.start, reason, detail, 0);
        for stream in &mut self.streams {
            stream.end(last.at_ns, end.clone());
        }
        if let Some(terminal) = &mut self.terminal {
            terminal.print(&Table::end(&end));
        }
        end
    }

    /// Sends what can be sent and hears what was said.
    ///
    /// # Errors
    /// When a target is gone for good: says which and why.
    pub fn exchange(&mut self, now_ns: u64) -> Result<Vec<Asked>, String> {
        let mut asked = Vec::new();
        for stream in &mut self.streams {
            asked.extend(stream.listen(now_ns).map_err(|error| error.to_string())?);
            stream.pump().map_err(|error| error.to_string())?;
        }
        match self.terminal.as_ref().and_then(|terminal| terminal.failure.clone()) {
            Some(failure) => Err(failure),
            None => Ok(asked),
        }
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

    /// Sends what is left to everybody who reads, until `limit_ns` or a further signal.
    pub fn flush(&mut self, signals: &Signals, limit_ns: u64) {
        loop {
            for stream in &mut self.streams {
                // A target that fails now has nothing more to be told.
                let _ = stream.pump();
            }
            let waiting = self.streams.iter_mut().any(|stream| !stream.is_done() && stream.has_reader());
            let now_ns = Monotonic.now_ns();
            if !waiting || now_ns >= limit_ns || signals.received().is_some() {
                return;
            }
            self.wait(signals, limit_ns.min(now_ns.saturating_add(FLUSH_STEP.0)));
        }
    }
}

/// How long a flush sleeps at most before it looks again at ports that cannot be polled.
const FLUSH_STEP: Nanos = Nanos::from_ms(10);

impl Terminal {
    fn print(&mut self, text: &str) {
        let mut stdout = std::io::stdout().lock();
        let printed = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
        if let Err(error) = printed {
            self.failure.get_or_insert(format!("the table cannot be printed: {error}"));
        }
    }
}
