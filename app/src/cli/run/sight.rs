//! What becomes of a camera that somebody watches.

use std::time::Duration;

use tokio::time::sleep;

use super::{Desk, GLANCE, Goal};
use crate::cli::camera;
use crate::engine::command::Command;
use crate::engine::watch::{Loss, Order, Seen};
use crate::exit::Exit;

impl Desk {
    pub(super) fn watch_camera(&mut self, order: &Order) {
        self.screen.line(&format!("Asking {} for its stream…", order.url));
        self.send(Command::Watch(Box::new(order.clone())));
    }

    pub(super) fn camera_plays(&mut self, seen: &Seen, after: Option<Duration>) {
        self.screen.clear();
        self.screen.line(&camera::plays(seen, after));
        self.sight = Some(seen.clone());
        let first = !std::mem::replace(&mut self.connected, true);
        if first {
            let limit = if self.is_glance() { Some(GLANCE) } else { self.manner.duration };
            self.deadline = limit.map(|limit| Box::pin(sleep(limit)));
        }
    }

    pub(super) fn camera_lost(&mut self, loss: &Loss, again_in: Duration) {
        self.sight = None;
        self.screen.line(&camera::lost(loss, again_in));
    }

    pub(super) fn camera_ended(&mut self, loss: &Loss, outcome: Exit) {
        self.sight = None;
        self.screen.clear();
        let text = camera::over(loss);
        match outcome {
            Exit::Ended | Exit::Interrupted => self.screen.line(&text),
            _ => self.screen.error(&text),
        }
        self.deadline = self.deadline.take().filter(|_| self.stopping);
        self.exit.get_or_insert(outcome);
        self.stop();
    }

    /// We record. A peer is told, and a camera has no ears for it.
    pub(super) fn recording_begins(&mut self) {
        let told = if matches!(self.goal, Goal::Camera { .. }) { "" } else { " The other side is told." };
        self.screen.line(&format!("Recording.{told}"));
    }

    /// The exit status that the end of a camera's stream means.
    pub(super) fn camera_outcome(&self, loss: &Loss) -> Exit {
        self.exit.unwrap_or_else(|| camera::outcome(loss, self.connected))
    }
}
