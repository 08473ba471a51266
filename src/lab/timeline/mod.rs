//! Placeholder of floor work in progress.
