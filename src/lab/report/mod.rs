//! The report: what happened in a run, in words, tables and charts. Nothing in it that is not in the run directory.

mod apart;
mod artefacts;
mod bystander;
mod charts;
mod compare;
mod costs;
mod csv;
mod cycles;
mod demands;
mod facts;
mod felt;
mod frames;
mod headline;
mod hlog;
mod html;
mod integrity;
mod json;
mod junit;
mod markdown;
mod measured;
mod repeats;
mod table;
mod tables;
mod text;
mod words;

pub use artefacts::{write_derived, write_junit, write_pages};
pub use csv::csv;
pub use demands::{never_met, unmet};
pub use html::html;
pub use json::json;
pub use junit::JunitSuite;
pub use markdown::markdown;
pub use table::Table;
pub use text::{WIDTH, text};
