//! visavis: a call is two one-way streams and a bell.
//!
//! This crate wires the packets of `visavis-net`, the conversation of `visavis-session` and the samples of
//! `visavis-media` into an [`engine`], and puts a command line in front of it.

pub mod address;
pub mod blocked;
pub mod cli;
pub mod contacts;
pub mod engine;
pub mod exit;
pub mod files;
pub mod profile;
