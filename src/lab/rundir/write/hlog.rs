//! `latency.hlog`: every interval's histograms in the field's standard log, which its viewers read.

use crate::histogram::Counts;
use crate::record::{Arrival, Body, ClockPair, Interval, Side};
use hdrhistogram::serialization::{
    V2DeflateSerializer,
    interval_log::{IntervalLogWriterBuilder, IntervalLogWriterError, Tag},
};
use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Write},
    path::Path,
    time::{Duration, SystemTime},
};

/// Viewers expect the readable maximum of a line in milliseconds.
const NS_PER_MS: f64 = 1e6;

/// Writes `hlog` from the records of a run. Intervals stand on the host's clock: a side's offset is the smallest
/// distance from a record's own stamp to its arrival.
pub fn write(records: &Path, hlog: &Path, clock: ClockPair) -> io::Result<()> {
    let offsets = Offsets::of(records)?;
    let mut file = BufWriter::new(File::create(hlog)?);
    let mut serializer = V2DeflateSerializer::new();
    let base = SystemTime::UNIX_EPOCH + Duration::from_nanos(clock.real_ns);
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment(
            "[sully: latency of page visits in ns; service = start to end, response = intended start to end]",
        )
        .with_start_time(base)
        .with_base_time(base)
        .with_max_value_divisor(NS_PER_MS)
        .begin_log_with(&mut file, &mut serializer)?;
    each(records, |arrival| {
        let Body::Interval(interval) = &arrival.record.body else { return Ok(()) };
        let start = offsets.host_ns(arrival.side, interval.start_ns).saturating_sub(clock.mono_ns);
        let length = interval.end_ns.saturating_sub(interval.start_ns);
        for (name, packed) in tagged(interval) {
            let (Ok(counts), Some(tag)) = (Counts::unpack(packed), Tag::new(name)) else { continue };
            let (start, length) = (Duration::from_nanos(start), Duration::from_nanos(length));
            log.write_histogram(&counts.to_hdr(), start, length, Some(tag)).map_err(|error| match error {
                IntervalLogWriterError::IoError(cause) => cause,
                IntervalLogWriterError::SerializeError(cause) => io::Error::other(cause.to_string()),
            })?;
        }
        Ok(())
    })?;
    file.flush()
}

fn tagged(interval: &Interval) -> [(&'static str, &str); 2] {
    [("service", &interval.service_hist), ("response", &interval.response_hist)]
}

/// Host clock minus guest clock, for each side.
struct Offsets {
    source: Option<i128>,
    destination: Option<i128>,
}

impl Offsets {
    fn of(records: &Path) -> io::Result<Self> {
        let mut offsets = Self { source: None, destination: None };
        each(records, |arrival| {
            let offset = i128::from(arrival.host_ns) - i128::from(arrival.record.mono_ns);
            let smallest = match arrival.side {
                Side::Source => &mut offsets.source,
                Side::Destination => &mut offsets.destination,
            };
            *smallest = Some(smallest.map_or(offset, |known| known.min(offset)));
            Ok(())
        })?;
        Ok(offsets)
    }

    fn host_ns(&self, side: Side, guest_ns: u64) -> u64 {
        let offset = match side {
            Side::Source => self.source,
            Side::Destination => self.destination,
        };
        u64::try_from(i128::from(guest_ns) + offset.unwrap_or(0)).unwrap_or(0)
    }
}

/// Every record of the file; it was written by this program a moment ago, so a line that does not read ends it.
fn each(records: &Path, mut on: impl FnMut(&Arrival) -> io::Result<()>) -> io::Result<()> {
    for line in BufReader::new(File::open(records)?).lines() {
        let Ok(arrival) = serde_json::from_str(&line?) else { return Ok(()) };
        on(&arrival)?;
    }
    Ok(())
}
