//! Diagnosis of generated gaps, whose truth is known.

mod classes;
mod combs;
mod scene;
