//! The guest side: joins the engine with the wire and its ports, and serves as PID 1 of our image.

pub mod boot;
