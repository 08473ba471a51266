//! `latency.hlog`: every interval's histograms in the field's standard log, which its viewers read.

use crate::lab::{timeline::Guest, view::RunView};
use hdrhistogram::serialization::{
    V2DeflateSerializer,
    interval_log::{IntervalLogWriterBuilder, IntervalLogWriterError, Tag},
};
use std::{
    io::{self, Write},
    time::{Duration, SystemTime},
};

/// What the log says of itself. Another text makes every log that has this one an old log.
pub const COMMENT: &str = "[sully: latency of page visits in ns; service = start to end, response = intended start to end; \
                           times by the host's clock, as in the report]";
/// Viewers expect the readable maximum of a line in milliseconds.
const NS_PER_MS: f64 = 1e6;

/// Writes the log of a run. An interval begins and ends where the timeline has it: one that holds a blackout through which the
/// guest's clock stood still is longer by that.
///
/// # Errors
/// When it cannot be written.
pub fn hlog(run: &RunView, mut out: &mut dyn Write) -> io::Result<()> {
    let (data, axis) = (run.data(), &run.timeline().axis);
    let guest = Guest::of(data, axis);
    let clock = data.run.clock;
    let host_ns = |mono_ns| axis.guest_to_host_ns(mono_ns);
    let first_ns = guest.intervals.iter().filter_map(|at| host_ns(at.interval.start_ns)).min();
    // Where the clocks were read later than that, the log begins earlier: it knows no time before its beginning.
    let base_ns = first_ns.unwrap_or(0).clamp(0, i128::from(clock.mono_ns));
    let earlier_ns = u64::try_from(i128::from(clock.mono_ns) - base_ns).unwrap_or(0);
    let base = SystemTime::UNIX_EPOCH + Duration::from_nanos(clock.real_ns.saturating_sub(earlier_ns));
    let mut lines = data.records.interval_lines();
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment(COMMENT)
        .with_start_time(base)
        .with_base_time(base)
        .with_max_value_divisor(NS_PER_MS)
        .begin_log_with(&mut out, &mut serializer)?;
    for interval in guest.intervals.iter().map(|at| at.interval) {
        let since_base =
            |mono_ns| Some(Duration::from_nanos(u64::try_from(host_ns(mono_ns)? - base_ns).unwrap_or(0)));
        let Some((start, end)) = since_base(interval.start_ns).zip(since_base(interval.end_ns)) else {
            continue;
        };
        let Some(packed) = lines.as_mut().and_then(|lines| lines.histograms(interval)) else { continue };
        for (name, counts) in ["service", "response"].into_iter().zip(packed.unpack()) {
            let (Some(counts), Some(tag)) = (counts, Tag::new(name)) else { continue };
            let length = end.saturating_sub(start);
            log.write_histogram(&counts.to_hdr(), start, length, Some(tag)).map_err(|error| match error {
                IntervalLogWriterError::IoError(cause) => cause,
                IntervalLogWriterError::SerializeError(cause) => io::Error::other(cause.to_string()),
            })?;
        }
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{histogram::Counts, lab::timeline::fixture::Story};
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
    use std::fs::OpenOptions;

    /// Tag, start and length in ms since the clocks were read, and visits of every line.
    fn lines(log: &[u8]) -> Vec<(String, u128, u128, u64)> {
        let entries: Vec<_> = IntervalLogIterator::new(log).map(Result::unwrap).collect();
        assert!(matches!(entries[0], LogEntry::StartTime(_)) && matches!(entries[1], LogEntry::BaseTime(_)));
        let line = |entry: &LogEntry<'_>| match entry {
            LogEntry::Interval(line) => {
                let tag = line.tag().map(|tag| tag.as_str().to_owned()).unwrap();
                let counts = Counts::unpack(line.encoded_histogram()).unwrap();
                Some((tag, line.start_timestamp().as_millis(), line.duration().as_millis(), counts.count()))
            }
            _ => None,
        };
        entries.iter().filter_map(line).collect()
    }

    fn log_of(story: &Story) -> Vec<u8> {
        let mut data = story.run_data();
        data.run.clock.mono_ns = story.host_ns(story.begin_ms as f64);
        let mut log = Vec::new();
        hlog(&RunView::new(data.data()), &mut log).unwrap();
        log
    }

    #[test]
    fn the_histogram_log_reads_back_with_times_on_the_hosts_clock() {
        let log = log_of(&Story::precopy());
        assert!(String::from_utf8_lossy(&log).contains(COMMENT));
        let lines = lines(&log);
        assert_eq!(lines[0].0, "service");
        assert_eq!(lines[1].0, "response");
        // A record takes 0.3 ms at least from its making to its arrival.
        assert_eq!((lines[0].1, lines[0].2, lines[20].1), (0, 100, 1000));
        assert!(lines.iter().all(|line| line.3 > 0) && lines.len() > 200, "{}", lines.len());
    }

    #[test]
    fn an_interval_that_holds_a_blackout_is_as_long_as_the_host_saw_it() {
        let lines = lines(&log_of(&Story::precopy()));
        let longest = lines.iter().max_by_key(|line| line.2).unwrap();
        assert_eq!((longest.1, longest.2), (10_900, 500));
        assert!(lines.iter().any(|line| line.1 == 11_400), "the next one begins where it ends");
    }

    #[test]
    fn a_histogram_log_on_a_full_disk_says_so_in_the_kernels_words() {
        let mut full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let error = hlog(&RunView::new(Story::precopy().run_data().data()), &mut full).unwrap_err();
        assert_eq!(error.to_string(), "No space left on device (os error 28)");
    }
}
