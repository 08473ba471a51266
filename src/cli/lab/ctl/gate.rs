//! Gates: commands that wait for something of a guest and say by their exit code whether it came, for scripts and pipelines.

mod steady;

use super::talk::GuestLine;
use super::words;
use crate::lab::collect::{AWAITED_END, SessionEnd};
use crate::lab::hostclock;
use crate::record::Status;
use crate::units::{Nanos, Share, shown};
use anyhow::{Context, bail};
use clap::Parser;
use serde_json::{Map, Value, json};
use std::time::Duration;
use steady::Steadiness;
use tokio::time;

/// How often a guest is asked.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// A gate, as its words ask for it.
#[derive(Debug, Parser)]
#[command(name = "sully-lab ctl TARGET", no_binary_name = true, disable_help_subcommand = true)]
pub enum Gate {
    /// Wait until the load holds what it was asked for
    WaitSteady(SteadyArgs),
    /// Wait until the guest program has ended
    WaitDone(DoneArgs),
    /// Have every page looked at now
    Verify(VerifyArgs),
}

/// What steady is to mean.
#[derive(Debug, clap::Args)]
pub struct SteadyArgs {
    /// How far what is done may be from what was asked for; without a rate, how far intervals may be from each other
    #[arg(long, value_name = "PERCENT", default_value = "5%")]
    within: Share,
    /// For how long
    #[arg(long = "for", value_name = "TIME", default_value = "10s")]
    hold: Nanos,
    /// How long to wait for it
    #[arg(long, value_name = "TIME", default_value = "1m")]
    timeout: Nanos,
}

/// How long to wait for the end.
#[derive(Debug, clap::Args)]
pub struct DoneArgs {
    /// How long to wait for it
    #[arg(long, value_name = "TIME", default_value = "1h")]
    timeout: Nanos,
}

/// How long to wait for the sweep.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// How long the sweep may take
    #[arg(long, value_name = "TIME", default_value = "5m")]
    timeout: Nanos,
}

/// What came of a gate: what to say, and the exit code.
pub type Passed = (String, u8);

impl Gate {
    /// The gate that these words name; none where they name something else.
    ///
    /// # Errors
    /// They name a gate, and ask for help or are wrong.
    pub fn of(words: &[String]) -> Result<Option<Self>, clap::Error> {
        let is_gate =
            words.first().is_some_and(|word| matches!(word.as_str(), "wait-steady" | "wait-done" | "verify"));
        if is_gate { Self::try_parse_from(words).map(Some) } else { Ok(None) }
    }

    /// Waits at the gate.
    ///
    /// # Errors
    /// The guest does not answer.
    pub async fn pass(&self, line: &mut GuestLine) -> anyhow::Result<Passed> {
        match self {
            Self::WaitSteady(args) => wait_steady(args, line).await,
            Self::WaitDone(args) => wait_done(args, line).await,
            Self::Verify(args) => verify(args, line).await,
        }
    }
}

/// How long a gate waits.
struct Patience {
    begin_ns: u64,
    limit: Nanos,
}

impl Patience {
    /// From now on.
    fn new(limit: Nanos) -> Self {
        Self { begin_ns: hostclock::mono_ns(), limit }
    }

    /// Waits until the guest is to be asked again; false when the time was over before.
    async fn lasts(&self) -> bool {
        let is_left = hostclock::mono_ns().saturating_sub(self.begin_ns) < self.limit.0;
        if is_left {
            time::sleep(ASK_EVERY).await;
        }
        is_left
    }
}

async fn wait_steady(args: &SteadyArgs, line: &mut GuestLine) -> anyhow::Result<Passed> {
    let patience = Patience::new(args.timeout);
    let mut steadiness = Steadiness::new(args.within, args.hold.0);
    loop {
        let status = match status(line).await? {
            Ok(status) => status,
            Err(refused) => return Ok((refused, 3)),
        };
        if steadiness.on(hostclock::mono_ns(), &status) {
            return Ok((format!("steady for {}: {}", args.hold, steadiness.said()), 0));
        }
        if !patience.lasts().await {
            return Ok((format!("not steady within {}: {}", args.timeout, steadiness.said()), 3));
        }
    }
}

async fn verify(args: &VerifyArgs, line: &mut GuestLine) -> anyhow::Result<Passed> {
    let patience = Patience::new(args.timeout);
    let before = match status(line).await? {
        Ok(status) => status.sweeps,
        Err(refused) => return Ok((refused, 3)),
    };
    let (text, code) = words::told(&line.ask(&command("sweep")).await?)?;
    if code != 0 {
        return Ok((text, code));
    }
    loop {
        let status = match status(line).await? {
            Ok(status) => status,
            Err(refused) => return Ok((refused, 3)),
        };
        if status.sweeps > before {
            return Ok(match status.corrupt_pages {
                Some(0) => ("every page was looked at, none is corrupt".into(), 0),
                Some(1) => ("1 corrupt page, named in the records".into(), 3),
                Some(count) => (format!("{count} corrupt pages, named in the records"), 3),
                None => (
                    "the guest keeps no stamps (verify = off), so nothing can be said of its pages".into(),
                    3,
                ),
            });
        }
        if !patience.lasts().await {
            return Ok((format!("the sweep had not ended within {}", args.timeout), 3));
        }
    }
}

async fn wait_done(args: &DoneArgs, line: &mut GuestLine) -> anyhow::Result<Passed> {
    let patience = Patience::new(args.timeout);
    loop {
        let end = match line {
            GuestLine::Collector(..) => collected_end(line).await?,
            GuestLine::Socket(_) => {
                // Who has ended answers nothing, and its last record came before.
                let asked = status(line).await;
                match line.take_end() {
                    Some(end) => Some(end),
                    None => asked.map(|_| None)?,
                }
            }
        };
        if let Some(end) = end {
            return Ok(ended(&end));
        }
        if !patience.lasts().await {
            return Ok((format!("the guest program had not ended within {}", args.timeout), 3));
        }
    }
}

/// How a guest ended, where its collector knows that it has.
async fn collected_end(line: &mut GuestLine) -> anyhow::Result<Option<SessionEnd>> {
    let answer: Value = serde_json::from_str(&line.ask(&command(AWAITED_END)).await?)
        .context("the collector's answer is no JSON")?;
    if let Some(error) = answer.get("error").and_then(Value::as_str) {
        bail!("{}", shown(error, usize::MAX));
    }
    serde_json::from_value(answer["ended"].clone())
        .context("the collector's answer is none that this version knows")
}

/// What an end makes of the gate.
fn ended(end: &SessionEnd) -> Passed {
    let reason = serde_json::to_value(end.reason).ok().and_then(|reason| reason.as_str().map(str::to_owned));
    let lost = [(end.corrupt_pages, "corrupt pages"), (end.records_given_up, "records given up")];
    let lost = lost.map(|(count, what)| match count {
        Some(count @ 1..) => format!(", {count} {what}"),
        _ => String::new(),
    });
    let said = format!("ended: {}{}", reason.unwrap_or_default(), lost.concat());
    (said, if end.is_good() { 0 } else { 3 })
}

/// What the guest says is going on; or its refusal.
async fn status(line: &mut GuestLine) -> anyhow::Result<Result<Status, String>> {
    let answer = line.ask(&command("status")).await?;
    let reply: Value = serde_json::from_str(&answer).context("the answer is no JSON object")?;
    match reply.get("status") {
        Some(status) => {
            Ok(Ok(serde_json::from_value(status.clone())
                .context("the status is none that this version knows")?))
        }
        None => words::told(&answer).map(|(text, _)| Err(format!("no status: {text}"))),
    }
}

/// A command without further words.
fn command(name: &str) -> Map<String, Value> {
    let id = hostclock::mono_ns();
    json!({"type": name, "id": id}).as_object().cloned().unwrap_or_default()
}
