//! What is said of the server that a stream is pushed to.

use std::time::Duration;

use super::Desk;
use crate::cli::publish;
use crate::engine::event::Event;
use crate::engine::players::Trouble;

impl Desk {
    pub(super) fn publishing(&mut self, event: &Event) {
        match event {
            Event::Publishing { published } => {
                self.trouble = None;
                publish::taken(published).iter().for_each(|line| self.screen.line(line));
            }
            Event::PublishFailed { url, trouble, again } => self.not_published(url, trouble, None, *again),
            Event::PublishEnded { url, trouble, lasted, again } => {
                self.not_published(url, trouble, Some(*lasted), *again);
            }
            _ => {}
        }
    }

    /// What fails as it failed before is said once: the server may be away for days.
    fn not_published(&mut self, url: &str, trouble: &Trouble, lasted: Option<Duration>, again: Option<Duration>) {
        let known = self.trouble.as_ref() == Some(trouble);
        if !self.stopping && (lasted.is_some() || !known) {
            self.screen.line(&publish::not_taken(url, trouble, lasted, again));
        }
        self.trouble = Some(trouble.clone());
    }
}
