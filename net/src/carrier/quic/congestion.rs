//! QUIC's own congestion control, which leaves the work to ours.
//!
//! Media is paced and bounded by [`crate::budget`], from what the other side reports of each packet's arrival. A second
//! controller below it would only see the queue that the first one keeps from building up; and when it did hold something back,
//! sound would wait behind pictures. RTP over QUIC allows for that (draft-ietf-avtcore-rtp-over-quic, on congestion control). What
//! else a connection carries is a few messages of control.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use quinn_proto::congestion::{Controller, ControllerFactory};

/// More than can ever be under way; beyond 32 bits the library does not pace either.
const WINDOW: u64 = 1 << 40;

#[derive(Clone, Copy, Debug)]
pub(super) struct Paced;

impl Controller for Paced {
    fn on_congestion_event(&mut self, _now: Instant, _sent: Instant, _persistent: bool, _lost: u64) {}

    fn on_mtu_update(&mut self, _new_mtu: u16) {}

    fn window(&self) -> u64 {
        WINDOW
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(*self)
    }

    fn initial_window(&self) -> u64 {
        WINDOW
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

impl ControllerFactory for Paced {
    fn build(self: Arc<Self>, _now: Instant, _current_mtu: u16) -> Box<dyn Controller> {
        Box::new(*self)
    }
}
