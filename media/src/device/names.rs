//! The names of sound devices: what a person would call a device, out of all that ALSA calls one.
//!
//! ALSA lists each card a dozen times (with and without conversion, by purpose, by number) and its plug-ins beside them.
//! Of those a person means each card once, with conversion, so that any rate works. A sound server's list, and that of
//! other systems, is fit to be read as it is, but for what a server lists as a microphone and is none: what goes to a
//! loudspeaker, played back.

/// What opens the system's choice, on any system.
pub(super) const DEFAULT: &str = "default";

/// What cpal calls ALSA.
#[cfg(feature = "devices")]
pub(super) const ALSA: &str = "ALSA";

/// A card with all conversions.
const CARD: &str = "plughw:CARD=";

/// A device as the system lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// Whether it is ALSA that lists it.
    pub(super) alsa: bool,
    /// The system's own name for it.
    pub(super) id: String,
    /// What it is called.
    pub(super) description: String,
}

/// Names to show, the default first if there is any device.
pub(super) fn shown(devices: &[Listed]) -> Vec<String> {
    let chosen = choose(devices);
    let default = (!chosen.is_empty()).then(|| DEFAULT.to_owned());
    default.into_iter().chain(chosen.into_iter().map(|(name, _)| name)).collect()
}

/// The end of PulseAudio's own name for what is played on a loudspeaker.
const MONITOR: &str = ".monitor";

/// Whether a sound server's own name is that of what goes to a loudspeaker.
pub(super) fn is_monitor(id: &str) -> bool {
    id.ends_with(MONITOR)
}

/// The devices among a list, each as its name and its place. The second of two of one name goes by the system's own.
fn choose(devices: &[Listed]) -> Vec<(String, usize)> {
    let mut chosen: Vec<(String, usize)> = Vec::new();
    for (place, Listed { alsa, id, description }) in devices.iter().enumerate() {
        let is_new = |name: &str| chosen.iter().all(|(other, _)| other != name);
        let card = id.strip_prefix(CARD).filter(|_| *alsa);
        let name = match card {
            None if *alsa || is_monitor(id) => None,
            // The second name of a card that was listed by its first.
            Some(card) if !is_new(description) && card.starts_with(|first: char| first.is_ascii_digit()) => None,
            Some(_) | None if !is_new(description) => Some(id.as_str()),
            Some(_) | None => Some(description.as_str()),
        };
        if let Some(name) = name.filter(|name| is_new(name)) {
            chosen.push((name.to_owned(), place));
        }
    }
    chosen
}

/// The place of the device that `name` opens: a name that is shown, or the system's own for any of its devices.
pub(super) fn find(devices: &[Listed], name: &str) -> Option<usize> {
    let chosen = choose(devices).into_iter().find(|(chosen, _)| chosen == name).map(|(_, place)| place);
    chosen.or_else(|| devices.iter().position(|device| device.id == name))
}

/// A node of a camera: one camera has several, of which the first gives pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// What the camera is called.
    pub(super) name: String,
    /// Where it is plugged in, empty if that is not known.
    pub(super) port: String,
}

/// The cameras among nodes, each as its name and the place of its first node. Several of one name are told apart by where
/// they are plugged in, which stays the same when they are found in another order.
pub(super) fn cameras(nodes: &[Node]) -> Vec<(String, usize)> {
    let first = |(place, node): &(usize, &Node)| !nodes[..*place].contains(node);
    let firsts: Vec<(usize, &Node)> = nodes.iter().enumerate().filter(first).collect();
    let alone = |node: &Node| firsts.iter().filter(|(_, other)| other.name == node.name).count() == 1;
    let name = |node: &Node| if alone(node) { node.name.clone() } else { format!("{} ({})", node.name, node.port) };
    firsts.iter().map(|(place, node)| (name(node), *place)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(devices: &[(&str, &str)]) -> Vec<Listed> {
        let listed = |&(id, name): &(&str, &str)| Listed { alsa: true, id: id.into(), description: name.into() };
        devices.iter().map(listed).collect()
    }

    /// As a Debian machine with a card, two equal headsets and the usual plug-ins lists them.
    fn debian() -> Vec<Listed> {
        listed(&[
            ("null", "Discard all samples (playback) or generate zero samples (capture)"),
            ("default", "Default ALSA Output (currently PulseAudio Sound Server)"),
            ("lavrate", "Rate Converter Plugin Using Libav/FFmpeg Library"),
            ("samplerate", "Rate Converter Plugin Using Samplerate Library"),
            ("speexrate", "Rate Converter Plugin Using Speex Resampler"),
            ("jack", "JACK Audio Connection Kit"),
            ("oss", "Open Sound System"),
            ("pulse", "PulseAudio Sound Server"),
            ("speex", "Plugin using Speex DSP (resample, agc, denoise, echo, dereverb)"),
            ("upmix", "Plugin for channel upmix (4,6,8)"),
            ("vdownmix", "Plugin for channel downmix (stereo) with a simple spacialization"),
            ("hw:CARD=PCH,DEV=0", "HDA Intel PCH, ALC257 Analog"),
            ("plughw:CARD=PCH,DEV=0", "HDA Intel PCH, ALC257 Analog"),
            ("sysdefault:CARD=PCH", "HDA Intel PCH, ALC257 Analog"),
            ("front:CARD=PCH,DEV=0", "HDA Intel PCH, ALC257 Analog"),
            ("surround51:CARD=PCH,DEV=0", "HDA Intel PCH, ALC257 Analog"),
            ("hdmi:CARD=PCH,DEV=0", "HDA Intel PCH, HDMI 0"),
            ("plughw:CARD=PCH,DEV=3", "HDA Intel PCH, HDMI 0"),
            ("usbstream:CARD=PCH", "HDA Intel PCH"),
            ("plughw:CARD=Headset,DEV=0", "USB Headset, USB Audio"),
            ("plughw:CARD=Headset_1,DEV=0", "USB Headset, USB Audio"),
            ("hw:CARD=0,DEV=0", "HDA Intel PCH, ALC257 Analog"),
            ("plughw:CARD=0,DEV=0", "HDA Intel PCH, ALC257 Analog"),
            ("plughw:CARD=1,DEV=0", "USB Headset, USB Audio"),
            ("plughw:CARD=3,DEV=0", "Loopback, Loopback PCM"),
        ])
    }

    #[test]
    fn each_card_is_named_once_and_no_plug_in_at_all() {
        let expected = [
            "default",
            "HDA Intel PCH, ALC257 Analog",
            "HDA Intel PCH, HDMI 0",
            "USB Headset, USB Audio",
            "plughw:CARD=Headset_1,DEV=0",
            "Loopback, Loopback PCM",
        ];
        assert_eq!(shown(&debian()), expected);
        // A machine without a card has plug-ins all the same.
        assert_eq!(shown(&debian()[..11]), [] as [&str; 0]);
    }

    #[test]
    fn every_name_shown_opens_what_it_stands_for_and_so_does_alsas_own() {
        let devices = debian();
        for (name, place) in choose(&devices) {
            assert_eq!(find(&devices, &name), Some(place), "{name}");
        }
        let pcm = |name: &str| find(&devices, name).map(|place| devices[place].id.as_str());
        assert_eq!(pcm("HDA Intel PCH, ALC257 Analog"), Some("plughw:CARD=PCH,DEV=0"));
        assert_eq!(pcm("jack"), Some("jack"));
        assert_eq!(pcm("Open Sound System"), None);
    }

    #[test]
    fn the_lists_of_sound_servers_and_other_systems_stay_as_they_are() {
        let devices = [
            ("alsa_output.pci", "Built-in Output"),
            ("alsa_output.usb-1", "USB Headset"),
            ("alsa_output.usb-2", "USB Headset"),
            ("alsa_output.pci.monitor", "Monitor of Built-in Output"),
        ]
        .map(|(id, name)| Listed { alsa: false, id: id.to_owned(), description: name.to_owned() });
        assert_eq!(shown(&devices), ["default", "Built-in Output", "USB Headset", "alsa_output.usb-2"]);
        // Whoever wants to send what they hear can say so.
        assert_eq!(find(&devices, "alsa_output.pci.monitor"), Some(3));
    }

    #[test]
    fn equal_cameras_are_told_apart_by_where_they_are_plugged_in() {
        let nodes = [("Webcam", "1-4"), ("Webcam", "1-4"), ("Built-in", "1-7"), ("Webcam", "2-1"), ("Virtual", "")];
        let nodes = nodes.map(|(name, port)| Node { name: name.to_owned(), port: port.to_owned() });
        let names = |nodes: &[Node]| cameras(nodes);
        let expected = [("Webcam (1-4)", 0), ("Built-in", 2), ("Webcam (2-1)", 3), ("Virtual", 4)];
        assert_eq!(names(&nodes), expected.map(|(name, place)| (name.to_owned(), place)));
        // One by itself has its own name, wherever it is.
        assert_eq!(names(&nodes[2..4])[1], ("Webcam".to_owned(), 1));
    }
}
