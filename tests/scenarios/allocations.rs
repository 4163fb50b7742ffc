//! Nothing of ours allocates for a packet once a call has warmed up. What C libraries allocate is not counted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use visavis::engine::config::Quality;
use visavis::engine::peer::{ConnId, Destination, Peer};
use visavis::engine::pipeline::{Capture, Figures, SendAudio, SendVideo};
use visavis_media::BLOCK;
use visavis_media::device::{AudioSourceSpec, VideoSourceSpec};
use visavis_media::playout::{AudioPacket, Playout, PlayoutConfig};
use visavis_media::video_playout::VideoPlayout;
use visavis_net::buf::PacketBuf;
use visavis_net::payload::jpeg::Depacketizer;
use visavis_net::rtp::codec::{Codec, MediaKind};
use visavis_net::rtp::ids::ExtSeq;
use visavis_net::rtp::session::{FramePool, OutFrame};
use visavis_net::rtp::time::RtpTime;
use visavis_net::testing::heap::{Heap, allocations};
use visavis_session::call::Purpose;
use visavis_tests::sim::{A, B, Conditions, Setup, World};

#[global_allocator]
static HEAP: Heap = Heap::new();

const MS: Duration = Duration::from_millis(1);
const FRAGMENT: usize = 1_200;
/// Steps after which every list has been as long as it gets: estimates remember ten seconds, and losses come in clumps.
const WARM_UP: u32 = 4_000;

/// One end of a call that goes on without the simulated world, whose links and pipes allocate.
struct End {
    peer: Peer,
    address: SocketAddr,
    /// Its end of the control connection.
    control: ConnId,
    frames: [FramePool; 2],
    picture: Bytes,
    /// What has been sent to it.
    inbox: Vec<(SocketAddr, PacketBuf)>,
    /// What it sends at once.
    bytes: Vec<u8>,
    packets: usize,
}

impl End {
    /// A frame as the encoders make them: 20 ms of sound, or a picture of many packets.
    fn frame(&mut self, kind: MediaKind, now: Instant, number: u32) -> Arc<OutFrame> {
        let (codec, period, size) = match kind {
            MediaKind::Audio => (Codec::Opus, 20 * MS, 80),
            MediaKind::Video => (Codec::Jpeg, 40 * MS, 25_000),
        };
        let clock = codec.clock_rate();
        let picture = self.picture.slice(..size);
        let frame = self.frames[kind as usize].make(codec, RtpTime(clock.ticks(period * number)), now, |frame| {
            frame.marker = kind == MediaKind::Video;
            let starts = (0..size).step_by(FRAGMENT);
            frame.payloads.extend(starts.map(|at| picture.slice(at..size.min(at + FRAGMENT)).into()));
            Ok::<(), std::convert::Infallible>(())
        });
        frame.expect("cannot fail")
    }

    /// Whether it said something on the control connection: a ping or its answer, which is told apart.
    fn send(&mut self, now: Instant, other: &mut Self, lost: &mut impl FnMut() -> bool) -> bool {
        let mut said = false;
        loop {
            self.bytes.clear();
            let Some(transmit) = self.peer.poll_transmit(now, &mut self.bytes) else { break };
            if let Destination::Tcp(_) = transmit.to {
                said = true;
                other.peer.tcp(now, other.control, &self.bytes);
                continue;
            }
            for datagram in self.bytes.chunks(transmit.segment) {
                self.packets += 1;
                if !lost() {
                    other.inbox.push((self.address, other.peer.pool().copy_of(datagram).expect("it fits")));
                }
            }
        }
        while self.peer.poll_output().is_some() {}
        said
    }

    fn receive(&mut self, now: Instant) {
        for (from, packet) in self.inbox.drain(..) {
            self.peer.udp(now, from, packet);
        }
        while self.peer.poll_output().is_some() {}
    }
}

/// A call of two that has begun.
fn call() -> ([End; 2], Instant) {
    let mut world = World::new(70, Conditions::default(), &[Setup::default(), Setup::default()]);
    world.dial(A, B, Purpose::Call);
    // No ping is on its way at the half second.
    world.run_for(Duration::from_millis(2500));
    let now = world.now();
    assert!(world.nodes.iter().all(|node| !node.arrived.is_empty()), "the call has begun");
    let picture = Bytes::from(vec![0x5a; 25_000]);
    let ends = world.nodes.into_iter().map(|node| End {
        control: node.control().expect("there is a connection"),
        peer: node.peer,
        address: node.address,
        frames: Default::default(),
        picture: picture.clone(),
        inbox: Vec::with_capacity(1024),
        bytes: Vec::with_capacity(65_536),
        packets: 0,
    });
    let ends: Vec<_> = ends.collect();
    (ends.try_into().ok().expect("two"), now)
}

/// Runs the call for so many steps of 5 ms; how often it allocated in those in which nothing was said on the control connection, and how
/// many packets left.
fn run(
    ends: &mut [End; 2],
    now: &mut Instant,
    steps: u32,
    begin: u32,
    mut lost: impl FnMut() -> bool,
) -> (usize, usize) {
    let [a, b] = ends;
    let packets = a.packets + b.packets;
    let (mut count, mut silent) = (0, 0);
    for step in begin..begin + steps {
        *now += 5 * MS;
        let (allocated, said) = allocations(|| {
            for end in [&mut *a, &mut *b] {
                if step.is_multiple_of(4) {
                    let frame = end.frame(MediaKind::Audio, *now, step / 4);
                    end.peer.send(*now, &frame);
                }
                if step.is_multiple_of(8) {
                    let frame = end.frame(MediaKind::Video, *now, step / 8);
                    end.peer.send(*now, &frame);
                }
                if end.peer.poll_timeout().is_some_and(|due| due <= *now) {
                    end.peer.handle_timeout(*now);
                }
            }
            let mut said = a.send(*now, b, &mut lost);
            b.receive(*now);
            said |= b.send(*now, a, &mut lost);
            a.receive(*now);
            // Answers to what came last.
            said | a.send(*now, b, &mut lost)
        });
        if !said {
            (count, silent) = (count + allocated, silent + 1);
        }
    }
    assert!(silent * 20 > steps * 19, "words in all but {silent} of {steps} steps");
    (count, a.packets + b.packets - packets)
}

#[test]
fn the_counter_counts() {
    let (count, kept) = allocations(|| std::hint::black_box(vec![1_u8; 100]));
    assert_eq!((count, kept.len()), (1, 100));
}

#[test]
fn a_packet_goes_from_encoder_to_pipeline_without_allocating() {
    let (mut ends, mut now) = call();
    run(&mut ends, &mut now, WARM_UP, 0, || false);
    let (count, packets) = run(&mut ends, &mut now, 2_000, WARM_UP, || false);
    println!("{packets} packets, {count} allocations");
    assert!(packets > 10_000, "{packets} packets are no call");
    assert_eq!(count, 0, "for {packets} packets");
}

#[test]
fn loss_and_repair_allocate_nothing_either() {
    let (mut ends, mut now) = call();
    let mut rng = ChaCha8Rng::seed_from_u64(71);
    let mut lost = || rng.next_u32() % 50 == 0;
    run(&mut ends, &mut now, WARM_UP, 0, &mut lost);
    let (count, packets) = run(&mut ends, &mut now, 2_000, WARM_UP, &mut lost);
    println!("{packets} packets, {count} allocations");
    assert!(packets > 10_000, "{packets} packets are no call");
    assert_eq!(count, 0, "for {packets} packets");
}

#[test]
fn sound_is_encoded_and_played_without_allocating() {
    let start = visavis::engine::clock::now();
    let figures = Figures::default();
    let mut source = SendAudio::open(&AudioSourceSpec::Synthetic, &Quality::default(), start).expect("a source");
    let mut playout = Playout::new(PlayoutConfig::default()).expect("libopus has memory");
    let (mut pcm, mut packets) = ([0; BLOCK], 0);
    let mut seconds = |from: u64, to: u64| {
        allocations(|| {
            for block in from * 100..to * 100 {
                let now = start + 10 * MS * block as u32;
                if let Some(frame) = source.step(now, &figures).expect("synthetic") {
                    playout.push(AudioPacket {
                        seq: ExtSeq(packets),
                        time: frame.time,
                        arrival: now,
                        repaired: false,
                        payload: &frame.payloads[0].body,
                    });
                    packets += 1;
                }
                playout.step(now, &mut pcm);
            }
        })
    };
    seconds(0, 10);
    let (count, ()) = seconds(10, 30);
    println!("{packets} packets, {count} allocations in two thirds of them");
    assert!(packets > 1_400 && playout.stats().decoded > 48_000 * 25, "that is no sound: {:?}", playout.stats());
    // Encoded packets are cut from arenas, each of which takes two allocations and holds a hundred and more.
    assert!(count <= 20, "{count} for 1000 packets");
}

#[test]
fn what_pictures_allocate_does_not_depend_on_their_packets() {
    let per_picture = |width, height| {
        let start = visavis::engine::clock::now();
        let figures = Figures::default();
        let spec = VideoSourceSpec::Synthetic { width, height, fps: 30 };
        let mut source = SendVideo::open(&spec, &Quality::default(), start, start).expect("a source");
        let (mut depacketizer, mut playout) = (Depacketizer::new(), VideoPlayout::new().expect("libjpeg has memory"));
        let (mut packets, mut pictures) = (0, 0);
        let mut seconds = |from: u32, to: u32| {
            let before = (packets, pictures);
            let (count, ()) = allocations(|| {
                for step in from * 200..to * 200 {
                    let now = start + 5 * MS * step;
                    let Some(frame) = source.step(now, &figures).expect("synthetic") else { continue };
                    for (index, payload) in frame.payloads.iter().enumerate() {
                        let mut bytes = [0; visavis_net::buf::MAX_PACKET];
                        let (header, body) = bytes.split_at_mut(payload.header.len());
                        header.copy_from_slice(&payload.header);
                        body[..payload.body.len()].copy_from_slice(&payload.body);
                        packets += 1;
                        let marker = index + 1 == frame.payloads.len();
                        let whole = depacketizer.push(ExtSeq(packets), frame.time, marker, &bytes[..payload.len()]);
                        if let Some(whole) = whole.expect("our own") {
                            playout.push(now, whole.time, None, whole.jpeg);
                        }
                    }
                    pictures += u64::from(playout.step(now, None).is_some());
                }
            });
            (count as f64 / (pictures - before.1) as f64, (packets - before.0) / (pictures - before.1))
        };
        seconds(0, 5);
        seconds(5, 10)
    };
    let (small, large) = (per_picture(320, 240), per_picture(1280, 720));
    println!("allocations and packets of a picture: {small:?}, of a larger one: {large:?}");
    assert!(large.1 > 4 * small.1, "the larger one has no more packets");
    assert!(small.0 == large.0 && large.0 <= 8.0, "{small:?} {large:?}");
}
