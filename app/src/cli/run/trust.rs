//! Who the other side is, and how sure that is.

use tokio::time::sleep;
use visavis_net::plan::SrtpProfile;
use visavis_session::handshake::suite::Suite;
use visavis_session::identity::Fingerprint;

use super::{Desk, GLANCE, Goal};
use crate::cli::words;
use crate::contacts::Learned;
use crate::engine::carriers::Chosen;
use crate::engine::command::Command;
use crate::exit::Exit;

impl Desk {
    pub(super) fn connected(&mut self, peer: &Fingerprint, suite: Suite, srtp: SrtpProfile, chosen: Chosen) {
        // The engine holds contacts to what they had shown when it started; this is what was learned since.
        let strongest = self.book.contacts().with_key(peer).and_then(|contact| contact.strongest);
        if let Some(strongest) = strongest.filter(|strongest| suite < *strongest) {
            self.exit = Some(Exit::Verification);
            self.screen.error(&format!(
                "{} agreed on {strongest} before and only on {suite} now; somebody may have weakened the call, so it ends",
                self.described(peer)
            ));
            self.send(Command::HangUp);
            return;
        }
        let dialled = match &self.goal {
            Goal::Dial { contact, .. } => contact.clone(),
            Goal::Camera { .. } | Goal::Answer { .. } | Goal::Stream => None,
        };
        self.screen.line(&format!("Connected to {}. {}", self.described(peer), words::keys(suite, srtp, chosen)));
        self.learn(dialled.as_deref(), peer, suite);
        if let Some(sas) = self.sas.take() {
            self.compare(&sas);
        }
        let duration = if self.is_glance() { Some(GLANCE) } else { self.manner.duration };
        self.deadline = duration.map(|duration| Box::pin(sleep(duration)));
    }

    pub(super) fn learn(&mut self, dialled: Option<&str>, peer: &Fingerprint, suite: Suite) {
        match self.book.learn(dialled, *peer, suite) {
            Ok(Learned::Pinned) => {
                let name = dialled.unwrap_or_default();
                self.screen.line(&format!("From now on {name} is whoever has the key {peer:#}."));
            }
            Ok(Learned::Stronger | Learned::Nothing) => {}
            Err(e) => self.screen.error(&e.to_string()),
        }
    }

    /// Nobody can read aloud before they hear each other, so it waits for that.
    pub(super) fn sas(&mut self, sas: String) {
        if self.connected {
            self.compare(&sas);
        } else {
            self.sas = Some(sas);
        }
    }

    pub(super) fn compare(&self, sas: &str) {
        let contact = self.party.as_ref().and_then(|party| self.book.contacts().with_key(&party.key));
        if contact.is_some_and(|contact| contact.verified) {
            return;
        }
        self.screen.line(&format!("Read this aloud: {sas}. Same on both sides? Then nobody is listening in."));
        match contact {
            Some(contact) => self.screen.line(&format!("Then note it: visavis contacts verify '{}'", contact.name)),
            None => {
                if let Some(party) = &self.party {
                    let key = party.key;
                    self.screen.line(&format!("To know them next time: visavis contacts add NAME --key {key}"));
                }
            }
        }
    }

    pub(super) fn explain_verification(&self) {
        if let Goal::Dial { contact: Some(name), .. } = &self.goal {
            self.screen.error(&format!(
                "whoever answered is not the {name} you know. If {name} has a new device, ask them for the new \
                 fingerprint in another way, then: visavis contacts remove '{name}' and add them again"
            ));
        }
    }

    pub(super) fn described(&self, key: &Fingerprint) -> String {
        let contact = self.book.contacts().with_key(key);
        format!("{} · {}", words::name(contact, key), words::trust(contact))
    }
}
