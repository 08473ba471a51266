//! Reads a run directory back.
