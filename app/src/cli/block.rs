//! `visavis block`: whom the owner does not want to hear of.

use visavis_session::identity::Fingerprint;

use super::output::Screen;
use super::{Failure, args, json};
use crate::profile::Profile;

pub(crate) fn run(profile: &Profile, args: args::Block, screen: &Screen) -> Result<(), Failure> {
    match args {
        args::Block::Add { whom } => {
            let (key, name) = find(profile, &whom)?;
            let block = profile.change_blocked(|blocked| blocked.add(key, name))?;
            screen.json(&json::blocked(&block));
            let who = block.name.as_deref().map(|name| format!("{name}, key ")).unwrap_or_default();
            screen.line(&format!("{who}{:#} does not get through any more.", block.key));
        }
        args::Block::List => {
            let blocked = profile.blocked()?;
            if blocked.list().is_empty() {
                screen.line("Nobody. To block somebody: visavis block add FINGERPRINT, or the name of a contact");
            }
            for block in blocked.list() {
                screen.json(&json::blocked(block));
                let name = block.name.as_deref().map(|name| format!("  {name}")).unwrap_or_default();
                screen.line(&format!("{:#}{name}", block.key));
            }
        }
        args::Block::Remove { whom } => {
            let block = profile.change_blocked(|blocked| blocked.remove(&whom))?;
            screen.json(&json::blocked(&block));
            screen.line(&format!("{:#} gets through again.", block.key));
        }
    }
    Ok(())
}

/// A key, and what the contacts call it.
fn find(profile: &Profile, whom: &str) -> Result<(Fingerprint, Option<String>), Failure> {
    let contacts = profile.contacts()?;
    if let Ok(key) = whom.parse() {
        return Ok((key, contacts.with_key(&key).map(|contact| contact.name.clone())));
    }
    let contact = contacts
        .named(whom)
        .ok_or(Failure::Usage("that is neither a fingerprint nor the name of a contact; see: visavis contacts list"))?;
    let key = contact.key.ok_or(Failure::Usage(
        "the key of this contact is not known yet, so it cannot be blocked; remove the contact instead",
    ))?;
    Ok((key, Some(contact.name.clone())))
}
