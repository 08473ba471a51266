//! The report: what happened in a run, in words, tables and charts. Nothing in it that is not in the run directory.

mod html;
mod json;
mod text;

pub use html::{html, write_html};
pub use json::json;
pub use text::text;
