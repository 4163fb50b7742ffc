//! The engine: commands in, discrete events out, and a snapshot to look at in between.

pub mod command;
pub mod config;
pub mod event;
pub mod snapshot;
