//! Collects from VMs that others started: many sockets, one directory for each session, for as long as one likes.

use super::desk::Desk;
use super::door::Door;
use super::finder::Finder;
use super::findings::Findings;
use super::links::Links;
use super::listener::Listener;
use super::view::View;
use super::{control, metrics};
use crate::lab::hostclock;
use crate::lab::wrong::given;
use crate::port::Token;
use anyhow::Context;
use nix::sys::signal::Signal;
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
    time::{self, MissedTickBehavior},
};

/// How often new sockets are looked for, and whoever watches is told.
const LOOK: Duration = Duration::from_secs(1);

/// What is to be collected.
#[derive(Debug, Clone)]
pub struct Options {
    /// Sockets, or patterns of them.
    pub sockets: Vec<String>,
    /// Where guests come by themselves.
    pub listen: Vec<String>,
    /// What both ends of a network connection know, and whether strangers may come without one.
    pub token: Option<Token>,
    /// Whether a listener may be one that strangers can reach, without a token.
    pub open_to_anyone: bool,
    /// Where the sessions' directories go.
    pub out: PathBuf,
    /// The most bytes that are kept of one session.
    pub limit_bytes: u64,
    /// Where metrics are served.
    pub prometheus: Option<SocketAddr>,
    /// When to end; none means when told to.
    pub duration: Option<Duration>,
}

/// Whoever watches: sees every VM, and what happened since it last looked.
pub type Watcher<'a> = &'a mut dyn FnMut(&[View], &[String]);

/// Collects until the time is over or `interrupt` becomes true. What is known of every VM then, and what is to be said.
///
/// # Errors
/// When the directory cannot be used (another collector may be at work in it), the metrics' address is taken, or the
/// disk does not take the records any more.
pub async fn collect(
    options: &Options,
    watcher: Watcher<'_>,
    mut interrupt: watch::Receiver<bool>,
) -> anyhow::Result<(Vec<View>, Findings)> {
    // A file as large as this process may make it is a full disk (EFBIG), and no reason to die.
    let _held = signal(SignalKind::from_raw(Signal::SIGXFSZ as i32));
    let mut finder = given(Finder::new(&options.sockets))?;
    let is_guarded = options.token.is_some() || options.open_to_anyone;
    let open = |text: &String| given(Listener::open(text, is_guarded));
    let listeners = options.listen.iter().map(open).collect::<anyhow::Result<Vec<_>>>()?;
    let desk = Arc::new(given(Desk::open(&options.out, options.limit_bytes))?);
    let mut helpers = JoinSet::new();
    let control = given(control::listen(&options.out).await)?;
    helpers.spawn(control::serve(control, Arc::clone(&desk)));
    if let Some(address) = options.prometheus {
        let listener = tokio::net::TcpListener::bind(address).await;
        let listener = given(listener.with_context(|| format!("--prometheus {address} cannot be used")))?;
        helpers.spawn(metrics::serve(listener, Arc::clone(&desk)));
    }
    for (pattern, _) in finder.unmatched() {
        desk.say(format!("'{pattern}' matches no socket yet"));
    }
    let mut links = Links::new(Arc::clone(&desk)).with_token(options.token.clone());
    for listener in listeners {
        links.open(Door { listener, token: options.token.clone() });
    }
    let mut tick = time::interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end_ns = options.duration.map(|span| hostclock::mono_ns().saturating_add(nanos(span)));
    loop {
        finder.find().iter().for_each(|path| links.attend(path, None));
        watcher(&desk.views(), &desk.take_news());
        let over = end_ns.is_some_and(|end_ns| hostclock::mono_ns() >= end_ns);
        if over || *interrupt.borrow() || desk.has_fault() {
            break;
        }
        let left =
            end_ns.map_or(LOOK, |end_ns| Duration::from_nanos(end_ns.saturating_sub(hostclock::mono_ns())));
        tokio::select! {
            _ = tick.tick() => {}
            () = time::sleep(left), if left < LOOK => {}
            // Somebody who can no longer interrupt has gone: the ticks go on.
            Ok(_) = interrupt.wait_for(|interrupted| *interrupted) => {}
        }
    }
    links.end().await;
    helpers.shutdown().await;
    control::remove(&options.out);
    let closed = desk.close();
    let views = desk.views();
    watcher(&views, &desk.take_news());
    let mut findings = closed?;
    finder.unmatched().into_iter().for_each(|(pattern, before)| findings.pattern(pattern, before));
    Ok((views, findings))
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
