//! The report: what happened in a run, in words, tables and charts. Nothing in it that is not in the run directory.

mod charts;
mod compare;
mod facts;
mod felt;
mod headline;
mod html;
mod integrity;
mod json;
mod repeats;
mod table;
mod tables;
mod text;
mod words;

pub use html::{html, write_html};
pub use json::{comparison_json, json};
pub use text::text;
