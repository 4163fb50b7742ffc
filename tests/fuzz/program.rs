//! Every fuzz program: it gives what libFuzzer makes up to the target of its own name.
#![no_main]

mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let target = targets::TARGETS.iter().find(|(name, _)| *name == env!("CARGO_BIN_NAME"));
    target.expect("each program is a target").1(data);
});
