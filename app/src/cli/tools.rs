//! Commands that end at once: `devices`, `identity`, `contacts`.

use std::net::IpAddr;

use serde_json::json;
use visavis_media::device::Devices;
use visavis_net::io::interfaces;

use super::book::own_address;
use super::output::Screen;
use super::{Failure, args, json as objects, words};
use crate::address::{Address, is_name};
use crate::contacts::Contact;
use crate::engine::clock;
use crate::profile::Profile;

pub(crate) fn devices(args: &args::Devices, screen: &Screen) {
    if args.watch {
        super::levels::watch(args.duration, screen);
    } else {
        list_devices(&Devices::list(), screen);
    }
}

/// What a list of each kind is called, the option that takes its names, one of them, and the names.
pub(super) fn kinds(devices: &Devices) -> [(&'static str, &'static str, &'static str, &[String]); 4] {
    [
        ("Microphones", "--audio", "microphone", &devices.microphones),
        ("Loudspeakers", "--audio-out", "loudspeaker", &devices.loudspeakers),
        ("Cameras", "--video", "camera", &devices.cameras),
        ("Screens", "--video", "screen", &devices.screens),
    ]
}

fn list_devices(devices: &Devices, screen: &Screen) {
    for (title, option, kind, names) in kinds(devices) {
        screen.line(&format!("{title} ({option} NAME)"));
        if names.is_empty() {
            screen.line("  none found");
        }
        for name in names {
            screen.line(&format!("  {}", name.escape_debug()));
            screen.json(&json!({"event": "device", "kind": kind, "name": name}));
        }
    }
}

pub(crate) fn identity(profile: &Profile, args: &args::Identity, screen: &Screen) -> Result<(), Failure> {
    if args.name.as_deref().is_some_and(|name| !is_name(name)) {
        return Err(Failure::Usage("--name takes up to 64 letters, digits, spaces, dots or dashes"));
    }
    let own = profile.identity(&mut clock::rng()?)?.public().fingerprint();
    let mut local = interfaces::local_addresses().unwrap_or_default();
    // A link-local address needs the other machine's interface, which nobody knows here.
    if local.iter().any(|address| !is_link_local(address.ip)) {
        local.retain(|address| !is_link_local(address.ip));
    }
    let addresses: Vec<String> =
        local.iter().map(|address| own_address(address.with_port(args.port), args.name.clone(), own)).collect();
    screen.line(&format!("Your fingerprint, for others to compare: {own:#}"));
    screen.line("Your address, while `visavis answer` or `visavis stream` runs:");
    for address in &addresses {
        screen.line(&format!("  {address}"));
    }
    screen.line(&format!("Your key is in {}; whoever has it is you.", profile.key_path().display()));
    screen.json(&json!({
        "event": "identity",
        "fingerprint": own.to_string(),
        "addresses": addresses,
        "key_file": profile.key_path().display().to_string(),
    }));
    Ok(())
}

pub(crate) fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

pub(crate) fn contacts(profile: &Profile, args: args::Contacts, screen: &Screen) -> Result<(), Failure> {
    match args {
        args::Contacts::Add { name, address, key } => {
            let address: Option<Address> = address
                .map(|text| text.parse())
                .transpose()
                .map_err(|e| Failure::Target(super::TargetError::Address(e)))?;
            let said = address.as_ref().and_then(|address| address.fingerprint);
            if let (Some(key), Some(said)) = (key, said)
                && key != said
            {
                return Err(Failure::Usage("--key and the address name different keys; which one is theirs?"));
            }
            let address = address.map(|address| Address::new(address.host, address.port));
            let contact = Contact::new(name, address, key.or(said));
            change(profile, |contacts| contacts.add(contact.clone()))?;
            screen.json(&objects::contact(&contact));
            let key = match contact.key {
                Some(key) => format!("with the key {key:#}"),
                None => "the first call decides the key".to_owned(),
            };
            screen.line(&format!("{} is a contact now, {key}.", contact.name));
        }
        args::Contacts::List => {
            let contacts = profile.contacts()?;
            for contact in contacts.list() {
                screen.json(&objects::contact(contact));
            }
            if contacts.list().is_empty() {
                screen.line("Nobody yet. To add somebody: visavis contacts add NAME ADDRESS");
            }
            for line in table(contacts.list()) {
                screen.line(&line);
            }
        }
        args::Contacts::Remove { name } => {
            let gone = change(profile, |contacts| contacts.remove(&name))?;
            screen.json(&objects::contact(&gone));
            screen.line(&format!("{} is no contact any more.", gone.name));
        }
        args::Contacts::Verify { name, undo } => {
            let contact = change(profile, |contacts| contacts.set_verified(&name, !undo).cloned())?;
            screen.json(&objects::contact(&contact));
            let key = contact.key.map(|key| format!(", key {key:#}")).unwrap_or_default();
            screen.line(&format!("{} · {}{key}", contact.name, words::trust(Some(&contact))));
        }
    }
    Ok(())
}

fn change<T>(
    profile: &Profile,
    change: impl FnOnce(&mut crate::contacts::Contacts) -> Result<T, crate::contacts::ContactsError>,
) -> Result<T, Failure> {
    let mut result = None;
    profile.change_contacts(|contacts| result.insert(change(contacts)).is_ok())?;
    // The closure has run, or the line above has returned.
    result.transpose()?.ok_or(Failure::Usage("nothing was changed"))
}

/// Names, how sure they are, addresses and keys in columns.
fn table(contacts: &[Contact]) -> Vec<String> {
    let rows: Vec<[String; 4]> = contacts
        .iter()
        .map(|contact| {
            [
                contact.name.clone(),
                words::trust(Some(contact)).to_owned(),
                contact.address.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
                contact.key.map_or_else(|| "no key yet".to_owned(), |key| format!("{key:#}")),
            ]
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (name, trust, address) = (width(0), width(1), width(2));
    rows.iter().map(|[a, b, c, d]| format!("{a:name$}  {b:trust$}  {c:address$}  {d}")).collect()
}

#[cfg(test)]
mod tests;
