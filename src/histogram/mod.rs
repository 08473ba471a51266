//! Latency histograms: the cells a writer counts into, and the counts a reader takes from them.
//!
//! The layout is HdrHistogram's with two significant digits from 1 ns to 1000 s, so that cells and the field's
//! standard histograms convert into each other without loss.

mod counts;
mod layout;
mod pack;
mod runs;
#[cfg(any(test, feature = "host"))]
mod unpack;

pub use counts::Counts;
pub use layout::{CELLS, HIGHEST_NS, SIGNIFICANT_DIGITS, cell_of, highest_in_cell, lowest_in_cell};
#[cfg(any(test, feature = "host"))]
pub use unpack::HistogramError;
