//! Rates for people, from counters for machines.

use std::time::{Duration, Instant};

use visavis_net::rtp::codec::MediaKind;
use visavis_net::rtp::session::Stats;

use super::snapshot::{Flow, Snapshot};

/// Rates are taken over at least this long, so that they do not flicker.
const WINDOW: Duration = Duration::from_secs(1);

/// Turns an RTP session's counters into bit rates.
#[derive(Debug, Default)]
pub(super) struct Meter {
    since: Option<(Instant, Octets)>,
    rates: [[u32; 2]; 2],
}

/// Bytes of sound and pictures, sent and received.
type Octets = [[u64; 2]; 2];

impl Meter {
    /// Fills in what the counters tell.
    pub(super) fn read(&mut self, now: Instant, stats: &Stats, snapshot: &mut Snapshot) {
        let (mut sent, mut received) = (Flow::default(), Flow::default());
        let mut octets = Octets::default();
        for stream in &stats.sent {
            count(&mut sent, &mut octets[0], stream.codec.kind(), stream.packets, stream.lost, stream.bytes);
        }
        for stream in &stats.received {
            count(&mut received, &mut octets[1], stream.codec.kind(), stream.packets, stream.lost, stream.bytes);
        }
        sent.loss = mean(stats.sent.iter().map(|stream| (stream.packets, stream.fraction_lost)));
        received.loss = mean(stats.received.iter().map(|stream| (stream.packets, stream.fraction_lost)));
        let (at, before) = *self.since.get_or_insert((now, octets));
        let elapsed = now.saturating_duration_since(at);
        if elapsed >= WINDOW {
            for (rates, (now, before)) in self.rates.iter_mut().zip(octets.iter().zip(before)) {
                for (rate, (now, before)) in rates.iter_mut().zip(now.iter().zip(before)) {
                    *rate = (now.saturating_sub(before) as f64 * 8.0 / elapsed.as_secs_f64()) as u32;
                }
            }
            self.since = Some((now, octets));
        }
        for (flow, [audio, video]) in [&mut sent, &mut received].into_iter().zip(self.rates) {
            (flow.audio_bitrate, flow.video_bitrate) = (audio, video);
        }
        (snapshot.path, snapshot.round_trip) = (stats.path, stats.round_trip);
        (snapshot.sent, snapshot.received, snapshot.waiting) = (sent, received, stats.waiting);
    }
}

fn count(flow: &mut Flow, octets: &mut [u64; 2], kind: MediaKind, packets: u64, lost: u64, bytes: u64) {
    flow.packets += packets;
    flow.lost += lost;
    octets[kind as usize] += bytes;
}

/// The loss of all streams together: each counts by its packets.
fn mean(streams: impl Iterator<Item = (u64, f32)>) -> f32 {
    let (packets, lost) =
        streams.fold((0, 0.0), |(packets, lost), (count, fraction)| (packets + count, lost + count as f32 * fraction));
    if packets == 0 { 0.0 } else { lost / packets as f32 }
}
