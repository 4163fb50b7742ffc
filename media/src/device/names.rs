//! The names of sound devices: what a person would call a device, out of all that ALSA calls one.
//!
//! ALSA lists each card a dozen times (with and without conversion, by purpose, by number) and its plug-ins beside them.
//! Of those a person means each card once, with conversion, so that any rate works. A sound server's list, and that of
//! other systems, is fit to be read as it is.

/// What opens the system's choice, on any system.
pub(super) const DEFAULT: &str = "default";

/// A card with all conversions.
const CARD: &str = "plughw:CARD=";

/// A device as the system lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// ALSA's name for it, where it is ALSA that lists it.
    pub(super) pcm: Option<String>,
    /// What it is called.
    pub(super) description: String,
}

/// Names to show, the default first if there is any device.
pub(super) fn shown(devices: &[Listed]) -> Vec<String> {
    let chosen = choose(devices);
    let default = (!chosen.is_empty()).then(|| DEFAULT.to_owned());
    default.into_iter().chain(chosen.into_iter().map(|(name, _)| name)).collect()
}

/// The devices among a list, each as its name and its place. The second of two cards of one name goes by ALSA's name.
fn choose(devices: &[Listed]) -> Vec<(String, usize)> {
    let mut chosen: Vec<(String, usize)> = Vec::new();
    for (place, Listed { pcm, description }) in devices.iter().enumerate() {
        let is_new = |name: &str| chosen.iter().all(|(other, _)| other != name);
        let name = match pcm.as_deref().map(|pcm| (pcm, pcm.strip_prefix(CARD))) {
            Some((_, None)) => None,
            // The second name of a card that was listed by its first.
            Some((pcm, Some(card))) if !is_new(description) => {
                (!card.starts_with(|first: char| first.is_ascii_digit())).then_some(pcm)
            }
            Some((_, Some(_))) | None => Some(description.as_str()),
        };
        if let Some(name) = name.filter(|name| is_new(name)) {
            chosen.push((name.to_owned(), place));
        }
    }
    chosen
}

/// The place of the device that `name` opens: a name that is shown, or ALSA's own for any of its devices.
pub(super) fn find(devices: &[Listed], name: &str) -> Option<usize> {
    let chosen = choose(devices).into_iter().find(|(chosen, _)| chosen == name).map(|(_, place)| place);
    chosen.or_else(|| devices.iter().position(|device| device.pcm.as_deref() == Some(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(devices: &[(&str, &str)]) -> Vec<Listed> {
        let listed = |&(pcm, name): &(&str, &str)| Listed { pcm: Some(pcm.into()), description: name.into() };
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
        let pcm = |name: &str| find(&devices, name).and_then(|place| devices[place].pcm.as_deref());
        assert_eq!(pcm("HDA Intel PCH, ALC257 Analog"), Some("plughw:CARD=PCH,DEV=0"));
        assert_eq!(pcm("jack"), Some("jack"));
        assert_eq!(pcm("Open Sound System"), None);
    }

    #[test]
    fn the_lists_of_sound_servers_and_other_systems_stay_as_they_are() {
        let devices = ["Built-in Output", "USB Headset", "USB Headset"]
            .map(|name| Listed { pcm: None, description: name.to_owned() });
        assert_eq!(shown(&devices), ["default", "Built-in Output", "USB Headset"]);
    }
}
