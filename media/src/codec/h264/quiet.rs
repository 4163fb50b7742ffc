//! Keeps the library from writing to standard error: what it warns of at every start is what we want of it.
#![allow(unsafe_code)]

use std::ffi::c_int;

use openh264::encoder::Encoder;
use openh264_sys2::ENCODER_OPTION_TRACE_LEVEL;

/// `WELS_LOG_QUIET` of the library.
const QUIET: c_int = 0;

/// From now on, its first words included.
pub(super) fn quiet(encoder: &mut Encoder) {
    let mut level = QUIET;
    // SAFETY: the option is an int that the library reads during the call, and the only one that it takes before it is initialised;
    // nothing that the binding relies on is changed.
    unsafe {
        encoder.raw_api().set_option(ENCODER_OPTION_TRACE_LEVEL, (&raw mut level).cast());
    }
}
