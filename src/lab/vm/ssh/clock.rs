//! How the other machine's wall clock stands to our CLOCK_MONOTONIC: QEMU there stamps its events with the one, the run's time axis is
//! the other.
//!
//! A question goes there and its answer is a reading of the clock. It was taken at some moment in between, so the middle is off by at
//! most half of the round trip (Cristian's algorithm).

use super::{SshError, SshLink};
use crate::lab::hostclock;
use crate::record::OtherClock;
use std::{
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, ChildStdout},
    task::JoinHandle,
    time,
};

/// Answers each line with the clock. Bash reads it without starting a program first.
const ANSWER: &str = r#"
if command -v bash >/dev/null 2>&1 && [ -n "$(bash -c 'echo "$EPOCHREALTIME"')" ]; then
    exec env LC_ALL=C bash -c 'while IFS= read -r -t 30 l; do echo "$EPOCHREALTIME"; done'
fi
t=; if command -v timeout >/dev/null 2>&1; then t='timeout 30'; fi
while $t sh -c 'IFS= read -r l'; do date +%s.%N; done
"#;
/// How often the clock is read, and how many times in a row.
const PERIOD: Duration = Duration::from_secs(1);
const TIMES: usize = 3;
/// How long an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Clocks of two machines drift apart by less than this, in parts per million: what NTP may slew a clock by, the largest of it all.
const DRIFT_PPM: u64 = 500;

/// Reads the other machine's clock again and again.
#[derive(Debug)]
pub struct SshClock {
    readings: Arc<Mutex<Vec<OtherClock>>>,
    reader: JoinHandle<()>,
}

impl SshClock {
    /// Begins to read.
    ///
    /// # Errors
    /// ssh does not start.
    pub fn watch(link: &SshLink) -> Result<Self, SshError> {
        let mut command = link.command(ANSWER, &[]);
        let child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn();
        let child = child.map_err(|source| SshError::NoClient { source })?;
        let readings = Arc::default();
        let reader = tokio::spawn(read_on(child, Arc::clone(&readings)));
        Ok(Self { readings, reader })
    }

    /// How the clocks stood at `host_ns`.
    ///
    /// # Errors
    /// Why that cannot be told, in a sentence.
    pub fn at(&self, host_ns: u64) -> Result<OtherClock, String> {
        around(&self.readings.lock().unwrap_or_else(PoisonError::into_inner), host_ns)
    }
}

impl Drop for SshClock {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Reads until the other machine answers no more.
async fn read_on(mut child: Child, readings: Arc<Mutex<Vec<OtherClock>>>) {
    let Some((mut questions, answers)) = child.stdin.take().zip(child.stdout.take()) else { return };
    let mut answers = BufReader::new(answers);
    let mut period = time::interval(PERIOD);
    loop {
        period.tick().await;
        let mut best: Option<OtherClock> = None;
        for _ in 0..TIMES {
            let asked = time::timeout(ANSWER_LIMIT, ask(&mut questions, &mut answers)).await;
            let Ok(Some(reading)) = asked else { return };
            if best.is_none_or(|best| reading.round_trip_ns < best.round_trip_ns) {
                best = Some(reading);
            }
        }
        readings.lock().unwrap_or_else(PoisonError::into_inner).extend(best);
    }
}

async fn ask(questions: &mut ChildStdin, answers: &mut BufReader<ChildStdout>) -> Option<OtherClock> {
    let asked_ns = hostclock::mono_ns();
    questions.write_all(b"\n").await.ok()?;
    let mut line = String::new();
    answers.read_line(&mut line).await.ok().filter(|bytes| *bytes > 0)?;
    let round_trip_ns = hostclock::mono_ns().saturating_sub(asked_ns);
    let real_ns = nanoseconds(line.trim())?;
    let error_ns = round_trip_ns.div_ceil(2) + 1000;
    Some(OtherClock { mono_ns: asked_ns + round_trip_ns / 2, real_ns, error_ns, round_trip_ns })
}

/// Seconds with a fraction of six or nine digits, as nanoseconds.
fn nanoseconds(text: &str) -> Option<u64> {
    let (seconds, fraction) = text.split_once('.')?;
    let digits = u32::try_from(fraction.len()).ok().filter(|digits| (6..=9).contains(digits))?;
    let fraction: u64 = fraction.parse().ok()?;
    let seconds: u64 = seconds.parse().ok()?;
    seconds.checked_mul(1_000_000_000)?.checked_add(fraction * 10u64.pow(9 - digits))
}

/// The reading that tells best how the clocks stood at `host_ns`, its error with what they may have drifted since; the round trip is
/// the shortest of all.
fn around(readings: &[OtherClock], host_ns: u64) -> Result<OtherClock, String> {
    let drift_ns = |one: u64, other: u64| one.abs_diff(other).saturating_mul(DRIFT_PPM) / 1_000_000;
    let error_ns = |reading: &OtherClock| reading.error_ns + drift_ns(reading.mono_ns, host_ns);
    let Some(best) = readings.iter().min_by_key(|reading| error_ns(reading)) else {
        return Err("its clock could not be read over ssh to a microsecond".into());
    };
    let ahead_ns = |reading: &OtherClock| i128::from(reading.real_ns) - i128::from(reading.mono_ns);
    let fits = |reading: &&OtherClock| {
        let most = reading.error_ns + best.error_ns + drift_ns(reading.mono_ns, best.mono_ns);
        (ahead_ns(reading) - ahead_ns(best)).unsigned_abs() <= u128::from(most)
    };
    if !readings.iter().all(|reading| fits(&reading)) {
        return Err("its clock was set during the run".into());
    }
    let round_trip_ns = readings.iter().map(|reading| reading.round_trip_ns).min().unwrap_or(0);
    Ok(OtherClock { error_ns: error_ns(best), round_trip_ns, ..*best })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn reading(at_s: u64, ahead_ns: u64, round_trip_ns: u64) -> OtherClock {
        let mono_ns = at_s * SECOND_NS;
        OtherClock { mono_ns, real_ns: mono_ns + ahead_ns, error_ns: round_trip_ns / 2, round_trip_ns }
    }

    #[test]
    fn both_forms_of_a_clock_are_read_and_what_is_none_is_not() {
        assert_eq!(nanoseconds("1790000000.123456"), Some(1_790_000_000_123_456_000));
        assert_eq!(nanoseconds("1790000000.123456789"), Some(1_790_000_000_123_456_789));
        for wrong in ["1790000000.%N", "1790000000", "", "x.123456", "1.5", "99999999999999.000000"] {
            assert_eq!(nanoseconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_nearest_good_reading_is_taken_and_its_error_grows_with_the_distance() {
        let readings =
            [reading(1, 7_000, 400_000), reading(20, 9_000, 8_000_000), reading(21, 8_000, 600_000)];
        let found = around(&readings, 20 * SECOND_NS).unwrap();
        assert_eq!((found.mono_ns, found.error_ns, found.round_trip_ns), (21 * SECOND_NS, 800_000, 400_000));
    }

    #[test]
    fn a_clock_that_was_set_and_one_that_was_never_read_tell_nothing() {
        let set = [reading(1, 0, 400_000), reading(2, 30_000_000, 400_000)];
        assert!(around(&set, SECOND_NS).unwrap_err().contains("was set"));
        assert!(around(&[], SECOND_NS).unwrap_err().contains("could not be read"));
    }
}
