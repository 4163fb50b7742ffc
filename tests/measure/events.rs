//! What the program under test said while it ran: one JSON object in each line.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

/// What matters of one side's events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Events {
    /// First sample captured, in nanoseconds since the Unix epoch, as the others.
    pub audio_source: Option<i128>,
    /// First picture captured.
    pub video_source: Option<i128>,
    /// First sample heard.
    pub audio_sink: Option<i128>,
    /// First picture shown.
    pub video_sink: Option<i128>,
    /// A call was connected.
    pub connected: bool,
    /// Why the call ended, as it was said.
    pub ended: Option<String>,
    /// In one word, how it ended; `ended` when nothing went wrong.
    pub outcome: Option<String>,
    /// Which way packets went, as told last: `udp` or `tcp`.
    pub carrier: Option<String>,
    /// Delay of the jitter buffer each time it was told, in milliseconds.
    pub jitter_buffer_ms: Vec<f64>,
    /// Where sound spends its time, each time it was told: milliseconds, by the names that `docs/cli.md` has.
    pub sound: Vec<BTreeMap<String, f64>>,
    /// Packets received, as told last.
    pub packets: Option<u64>,
    /// Packets lost for good, after repair, as told last.
    pub lost: Option<u64>,
}

impl Events {
    /// Reads a file of events.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self::parse(&text))
    }

    /// Takes in all lines; those that are no JSON objects, such as a last one cut short, are passed over.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut events = Self::default();
        for line in text.lines() {
            if let Ok(value) = serde_json::from_str::<Value>(line) {
                events.take(&value);
            }
        }
        events
    }

    fn take(&mut self, value: &Value) {
        match value["event"].as_str() {
            Some("device-started") => {
                let at = value["unix_ns"].as_i64().map(i128::from);
                let slot = match value["role"].as_str() {
                    Some("audio-source") => &mut self.audio_source,
                    Some("video-source") => &mut self.video_source,
                    Some("audio-sink") => &mut self.audio_sink,
                    Some("video-sink") => &mut self.video_sink,
                    _ => return,
                };
                // The first call of a run is the measured one.
                *slot = slot.or(at);
            }
            Some("connected") => self.connected = true,
            Some("ended") => {
                self.ended = Some(value["reason"].as_str().unwrap_or("not said").to_owned());
                self.outcome = value["outcome"].as_str().map(str::to_owned);
            }
            Some("status") if value["phase"] == "connected" => self.take_status(value),
            _ => {}
        }
    }

    fn take_status(&mut self, value: &Value) {
        self.jitter_buffer_ms.extend(value["jitter_buffer_ms"].as_f64());
        if let Some(parts) = value["sound"].as_object() {
            let named = parts.iter().map(|(name, part)| (name.as_str(), part));
            let others = ["jitter_buffer_ms", "round_trip_ms"].map(|name| (name, &value[name]));
            let parts = named.chain(others).filter_map(|(name, part)| Some((name.to_owned(), part.as_f64()?)));
            self.sound.push(parts.collect());
        }
        let received = &value["received"];
        self.packets = received["packets"].as_u64().or(self.packets);
        self.lost = received["lost"].as_u64().or(self.lost);
        self.carrier = value["path"]["carrier"].as_str().map(str::to_owned).or(self.carrier.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_it_knows_and_passes_over_the_rest() {
        let events = Events::parse(concat!(
            "{\"event\":\"device-started\",\"role\":\"audio-sink\",\"unix_ns\":1795357000123456789}\n",
            "{\"event\":\"device-started\",\"role\":\"audio-sink\",\"unix_ns\":1795357999000000000}\n",
            "not json\n[1]\n{\"event\":\"connected\"}\n",
            "{\"event\":\"status\",\"phase\":\"connected\",\"jitter_buffer_ms\":21.5,\"received\":{\"packets\":10,\"lost\":1}}\n",
            "{\"event\":\"status\",\"phase\":\"connected\",\"jitter_buffer_ms\":22,\"path\":{\"carrier\":\"udp\"},",
            "\"sound\":{\"ring_ms\":4.5,\"new\":null},\"round_trip_ms\":null,",
            "\"received\":{\"packets\":20,\"lost\":2}}\n",
            "{\"event\":\"ended\",\"outcome\":\"lost\",\"reason\":\"they were lost\"}\n",
            "{\"event\":\"status\",\"phase\":\"idle\",\"jitter_buffer_ms\":0,\"received\":{\"packets\":0,\"lost\":0}}\n",
            "{\"event\":\"dev",
        ));
        let expected = Events {
            audio_sink: Some(1_795_357_000_123_456_789),
            connected: true,
            ended: Some("they were lost".to_owned()),
            outcome: Some("lost".to_owned()),
            carrier: Some("udp".to_owned()),
            jitter_buffer_ms: vec![21.5, 22.0],
            sound: vec![BTreeMap::from([("jitter_buffer_ms".to_owned(), 22.0), ("ring_ms".to_owned(), 4.5)])],
            packets: Some(20),
            lost: Some(2),
            ..Events::default()
        };
        assert_eq!(events, expected);
    }
}
