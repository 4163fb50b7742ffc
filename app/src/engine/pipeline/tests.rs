use super::*;
use crate::engine::clock;

#[test]
fn a_microphone_that_runs_slow_or_fast_has_no_gaps_for_days() {
    for ppm in [-200.0, 0.0, 200.0] {
        let (start, mut clock) = (clock::now(), SampleClock::default());
        // Thirty hours: the drift amounts to 20 s, and the clock wraps once.
        for number in 0..30 * 3_600 * 50_u32 {
            let jitter = Duration::from_millis(u64::from(number * 7 % 11));
            let captured = start + (FRAME_TIME * number).div_f64(1.0 + ppm * 1e-6) + jitter;
            assert_eq!(clock.time(captured), RtpTime(number.wrapping_mul(FRAME as u32)), "frame {number} at {ppm} ppm");
        }
    }
}

#[test]
fn what_was_not_captured_is_passed_over() {
    let (start, mut clock) = (clock::now(), SampleClock::default());
    let frame = FRAME as u32;
    assert_eq!(clock.time(start), RtpTime(0));
    assert_eq!(clock.time(start + FRAME_TIME), RtpTime(frame));
    let after = start + Duration::from_secs(3);
    assert_eq!(clock.time(after), RtpTime(144_000));
    assert_eq!(clock.time(after + FRAME_TIME), RtpTime(144_000 + frame));
}
