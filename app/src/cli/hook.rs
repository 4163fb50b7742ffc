//! A command of the owner's, run when somebody begins to watch and when they leave.

use std::net::IpAddr;
use std::process::Stdio;
use std::sync::Arc;

use tokio::process::Command;
use tokio::sync::Semaphore;
use visavis_session::identity::Fingerprint;

use crate::contacts::Contact;

/// Commands that run at once. Whoever comes and goes all the time does not make more of them.
const MAX_RUNNING: usize = 16;

/// The command, for the shell.
#[derive(Clone, Debug)]
pub(crate) struct Hook {
    command: String,
    places: Arc<Semaphore>,
}

/// What it is told, in its environment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Occasion<'a> {
    /// Somebody begins to watch, or leaves.
    pub(crate) joined: bool,
    pub(crate) peer: Option<&'a Fingerprint>,
    pub(crate) contact: Option<&'a Contact>,
    /// The name that a plain player gave.
    pub(crate) user: Option<&'a str>,
    /// What it calls itself.
    pub(crate) player: Option<&'a str>,
    pub(crate) address: Option<IpAddr>,
    /// How many watch now.
    pub(crate) viewers: usize,
}

impl Hook {
    pub(crate) fn new(command: String) -> Self {
        Self { command, places: Arc::new(Semaphore::new(MAX_RUNNING)) }
    }

    /// Starts the command and does not wait for it.
    ///
    /// # Errors
    /// A sentence for the owner, when it was not started or too many run.
    pub(crate) fn run(&self, occasion: &Occasion<'_>) -> Result<(), String> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return Err(format!("--on-viewer was not run: {MAX_RUNNING} of its commands have not ended yet"));
        };
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(&self.command)
            .env("VISAVIS_EVENT", if occasion.joined { "joined" } else { "left" })
            .env("VISAVIS_PEER", occasion.peer.map(ToString::to_string).unwrap_or_default())
            .env("VISAVIS_CONTACT", occasion.contact.map_or("", |contact| contact.name.as_str()))
            .env(
                "VISAVIS_VERIFIED",
                if occasion.contact.is_some_and(|contact| contact.verified) { "yes" } else { "no" },
            )
            .env("VISAVIS_USER", occasion.user.unwrap_or_default())
            .env("VISAVIS_PLAYER", occasion.player.unwrap_or_default())
            .env("VISAVIS_ADDRESS", occasion.address.map(|address| address.to_string()).unwrap_or_default())
            .env("VISAVIS_VIEWERS", occasion.viewers.to_string())
            .stdin(Stdio::null())
            // Ours is for words and events.
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("--on-viewer was not run: {error}"))?;
        tokio::spawn(async move {
            match child.wait().await {
                Ok(status) if status.success() => {}
                Ok(status) => tracing::warn!(%status, "the command of --on-viewer failed"),
                Err(error) => tracing::warn!(%error, "the command of --on-viewer is lost"),
            }
            drop(place);
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const OCCASION: Occasion<'static> =
        Occasion { joined: true, peer: None, contact: None, user: None, player: None, address: None, viewers: 3 };

    async fn read(path: &std::path::Path, what: &str) -> String {
        for _ in 0..500 {
            match std::fs::read_to_string(path) {
                Ok(text) if text.contains(what) => return text,
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
        panic!("{} does not come to have {what:?}", path.display());
    }

    #[tokio::test]
    async fn it_is_told_who_it_is_and_nothing_is_put_into_the_shell() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("told");
        let hook = Hook::new(format!(
            "echo \"$VISAVIS_EVENT|$VISAVIS_CONTACT|$VISAVIS_VERIFIED|$VISAVIS_ADDRESS|$VISAVIS_VIEWERS\" >>{}",
            path.display()
        ));
        let mut contact = Contact::new("$(touch gone); `id` \"", None, None);
        contact.verified = true;
        let address = Some([192, 0, 2, 7].into());
        hook.run(&Occasion { contact: Some(&contact), address, ..OCCASION }).expect("started");
        assert_eq!(read(&path, "\n").await, "joined|$(touch gone); `id` \"|yes|192.0.2.7|3\n");
        hook.run(&Occasion { joined: false, viewers: 0, ..OCCASION }).expect("started");
        assert!(read(&path, "left").await.ends_with("left||no||0\n"));
    }

    #[tokio::test]
    async fn so_many_run_and_no_more() {
        let dir = tempfile::tempdir().expect("a folder");
        let go = dir.path().join("go");
        // They end with the folder, too: some have not looked yet when the test is over.
        let there = format!("[ -d {} ] && ! [ -e {} ]", dir.path().display(), go.display());
        let hook = Hook::new(format!("while {there}; do sleep 0.02; done"));
        for _ in 0..MAX_RUNNING {
            hook.run(&OCCASION).expect("started");
        }
        assert!(hook.run(&OCCASION).is_err_and(|text| text.contains("16 of its commands")));
        std::fs::write(&go, "").expect("written");
        for _ in 0..500 {
            if hook.run(&OCCASION).is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("those that have ended make no room");
    }
}
