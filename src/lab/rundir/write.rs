//! Writes a run directory.
