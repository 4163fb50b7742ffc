use std::collections::BTreeMap;
use std::io::Cursor;

use proptest::prelude::*;
use visavis_net::rtp::time::ClockRate;

use super::*;
use crate::codec::h264::Encoder;
use crate::picture::Sampling;
use crate::testing::{self, moment};

const SOUND: Ssrc = Ssrc(1);
const PICTURES: Ssrc = Ssrc(2);
const DATE: Duration = Duration::from_secs(1_790_000_000);

/// What a reader finds in a file that may be cut off anywhere.
#[derive(Debug, Default)]
struct Read {
    tracks: Vec<u64>,
    /// Track, milliseconds and content.
    blocks: Vec<(u8, i64, Vec<u8>)>,
    /// Where each cluster begins, and when.
    clusters: BTreeMap<u64, i64>,
    /// Time and cluster.
    cues: Vec<(u64, u64)>,
    duration: Option<f64>,
    /// Nanoseconds from picture to picture.
    period: Option<u64>,
    /// Whether everything belonged to an element, and the segment ended where it said.
    whole: bool,
}

impl Read {
    fn of(file: &[u8]) -> Self {
        let mut read = Self { whole: true, ..Self::default() };
        read.elements(file, 0, file.len());
        read
    }

    fn times(&self, track: u8) -> Vec<i64> {
        self.blocks.iter().filter(|block| block.0 == track).map(|block| block.1).collect()
    }

    /// The elements between two positions. Those whose end is missing count as not there.
    fn elements(&mut self, file: &[u8], mut at: usize, to: usize) {
        let mut cluster = 0;
        while at < to {
            let start = at;
            let Some((id, size)) = header(file, &mut at) else {
                self.whole = false;
                return;
            };
            let end = if size == ebml::UNKNOWN_SIZE { to } else { at + size as usize };
            if end > to {
                self.whole = false;
                return;
            }
            let content = &file[at..end];
            match id {
                0x1853_8067 => {
                    assert_eq!(at as u64, matroska::SEGMENT);
                    self.whole &= size != ebml::UNKNOWN_SIZE && end == file.len();
                    self.elements(file, at, end);
                }
                0x1f43_b675 => {
                    self.elements(file, at, end);
                    let begins = self.clusters.remove(&u64::MAX).expect("a time");
                    self.clusters.insert(start as u64, begins);
                }
                0x1549_a966 | 0x1654_ae6b | 0x1c53_bb6b | 0xbb | 0xb7 | 0xae => {
                    let cues = self.cues.len();
                    self.elements(file, at, end);
                    if id == 0xbb {
                        assert_eq!(self.cues.len(), cues + 1);
                    }
                }
                0xd7 => self.tracks.push(number(content)),
                0x0023_e383 => self.period = Some(number(content)),
                0x4489 => self.duration = Some(f64::from_bits(number(content))),
                0xe7 => {
                    cluster = number(content) as i64;
                    self.clusters.insert(u64::MAX, cluster);
                }
                0xa3 => {
                    let relative = i16::from_be_bytes([content[1], content[2]]);
                    self.blocks.push((content[0] & 0x7f, cluster + i64::from(relative), content[4..].to_vec()));
                }
                0xb3 => self.cues.push((number(content), 0)),
                0xf1 => self.cues.last_mut().expect("a time before it").1 = number(content) + matroska::SEGMENT,
                _ => {}
            }
            at = end;
        }
    }
}

fn number(content: &[u8]) -> u64 {
    content.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn header(file: &[u8], at: &mut usize) -> Option<(u32, u64)> {
    let id_length = file.get(*at)?.leading_zeros() as usize + 1;
    let id = number(file.get(*at..*at + id_length)?) as u32;
    *at += id_length;
    let length = file.get(*at)?.leading_zeros() as usize + 1;
    let size = number(file.get(*at..*at + length)?) & !(1 << (7 * length));
    *at += length;
    Some((id, size))
}

/// A disk with limits, which remembers what it held after every write.
#[derive(Debug, Default)]
struct Disk {
    file: Cursor<Vec<u8>>,
    room: Option<usize>,
    /// Writes until the first that fails.
    fuse: Option<usize>,
    states: Vec<Vec<u8>>,
}

impl Write for &mut Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.fuse == Some(0) {
            return Err(io::Error::other("broken"));
        }
        self.fuse = self.fuse.map(|left| left - 1);
        let at = self.file.position() as usize;
        let room = self.room.map_or(bytes.len(), |room| room.saturating_sub(at).min(bytes.len()));
        if room == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let written = self.file.write(&bytes[..room])?;
        let state = self.file.get_ref().clone();
        self.states.push(state);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for &mut Disk {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// An Opus packet of 20 ms by its first byte.
fn sound(start: Instant, number: u32, delay: Duration) -> Frame {
    let captured = Duration::from_millis(20) * number;
    Frame {
        stream: SOUND,
        time: RtpTime(0xffff_f000).add(ClockRate::OPUS.ticks(captured)),
        arrival: start + captured + delay,
        data: Bytes::from(vec![0x08, number as u8, (number >> 8) as u8]),
        content: Content::Sound,
    }
}

fn picture(start: Instant, number: u32, delay: Duration) -> Frame {
    let captured = Duration::from_millis(40) * number;
    Frame {
        stream: PICTURES,
        time: RtpTime(0xffff_f000).add(ClockRate::VIDEO.ticks(captured)),
        arrival: start + captured + delay,
        data: Bytes::from(vec![number as u8; 50]),
        content: Content::Picture { width: 64, height: 48 },
    }
}

/// Reports of a sender whose clocks both began at `start`.
fn report<W: Write + Seek>(recorder: &mut Recorder<W>, unix: Duration) {
    for (kind, stream) in [(MediaKind::Audio, SOUND), (MediaKind::Video, PICTURES)] {
        recorder.clock_map(kind, stream, RtpTime(0xffff_f000), NtpTime::from_unix(unix));
    }
}

/// Records frames that come in the order of arrival, and looks every 100 ms what is due; the first error if there was one.
fn record(recorder: &mut Recorder<&mut Disk>, mut frames: Vec<Frame>) -> Option<io::Error> {
    frames.sort_by_key(|frame| frame.arrival);
    let mut error = None;
    let mut now = frames.first()?.arrival;
    for frame in frames {
        while now < frame.arrival {
            now += Duration::from_millis(100);
            if let Err(failed) = recorder.step(now) {
                assert!(error.replace(failed).is_none(), "an error is said once");
            }
        }
        recorder.push(frame);
    }
    error
}

/// Ten seconds of both.
fn conversation(start: Instant) -> Vec<Frame> {
    let late = |number: u32| Duration::from_millis(u64::from(number * 7 % 31));
    let sounds = (0..500).map(|number| sound(start, number, late(number)));
    sounds.chain((0..250).map(|number| picture(start, number, late(number) + Duration::from_millis(60)))).collect()
}

#[test]
fn frames_have_the_times_of_their_capture() {
    let mut disk = Disk::default();
    let mut recorder = Recorder::new(&mut disk, DATE);
    report(&mut recorder, DATE);
    assert!(record(&mut recorder, conversation(moment())).is_none());
    assert_eq!(recorder.finish().expect("written"), Stats { written: 750, late: 0 });
    let read = Read::of(disk.file.get_ref());
    assert!(read.whole);
    assert_eq!(read.tracks, [u64::from(VIDEO), u64::from(AUDIO)]);
    assert_eq!(read.times(AUDIO), (0..500).map(|number| number * 20).collect::<Vec<_>>());
    // Pictures were 60 ms longer on their way.
    assert_eq!(read.times(VIDEO), (0..250).map(|number| number * 40).collect::<Vec<_>>());
    assert_eq!((read.duration, read.period), (Some(10_000.0), Some(40_000_000)));
    assert_eq!(read.cues.len(), 5);
    for (time, cluster) in &read.cues {
        assert!(read.clusters[cluster] <= *time as i64 && *time as i64 - read.clusters[cluster] < 100);
    }
    let clusters: Vec<_> = read.clusters.values().copied().collect();
    assert!(clusters.is_sorted() && clusters.len() >= 15, "{clusters:?}");
}

#[test]
fn what_was_captured_before_the_first_that_came_is_kept() {
    let start = moment();
    let mut disk = Disk::default();
    let mut recorder = Recorder::new(&mut disk, DATE);
    report(&mut recorder, DATE);
    // Pictures begin 200 ms before sound but take 300 ms longer, and all of them need the first.
    let mut frames: Vec<_> = (10..110).map(|number| sound(start, number, Duration::ZERO)).collect();
    let (mut encoder, drawn) = (Encoder::new(None), testing::picture(64, 48, Sampling::Yuv420, 1));
    frames.extend((0..50).map(|number| {
        let unit = encoder.encode(&drawn, Duration::from_millis(40) * number, false).expect("encodes");
        assert_eq!(unit.key, number == 0);
        let picture = picture(start, number, Duration::from_millis(300));
        Frame { data: unit.bytes, content: Content::H264 { key: unit.key }, ..picture }
    }));
    assert!(record(&mut recorder, frames).is_none());
    assert_eq!(recorder.finish().expect("written"), Stats { written: 150, late: 0 });
    let read = Read::of(disk.file.get_ref());
    assert_eq!(read.times(VIDEO), (0..50).map(|number| number * 40).collect::<Vec<_>>());
    assert_eq!(read.times(AUDIO), (0..100).map(|number| 200 + number * 20).collect::<Vec<_>>());
}

#[test]
fn what_was_lost_stays_a_gap() {
    let start = moment();
    let mut disk = Disk::default();
    let mut recorder = Recorder::new(&mut disk, DATE);
    report(&mut recorder, DATE);
    let frames =
        (0..500).filter(|number| !(100..350).contains(number)).map(|number| sound(start, number, Duration::ZERO));
    assert!(record(&mut recorder, frames.collect()).is_none());
    recorder.finish().expect("written");
    let read = Read::of(disk.file.get_ref());
    assert_eq!((read.times(AUDIO)[99], read.times(AUDIO)[100]), (1_980, 7_000));
    assert_eq!(read.tracks, [u64::from(AUDIO)]);
    assert_eq!(read.duration, Some(10_000.0));
}

#[test]
fn repaired_and_overtaken_frames_are_in_their_place() {
    let start = moment();
    let mut disk = Disk::default();
    let mut recorder = Recorder::new(&mut disk, DATE);
    report(&mut recorder, DATE);
    let delay = |number: u32| Duration::from_millis(if number % 10 == 3 { 450 } else { 0 });
    assert!(record(&mut recorder, (0..500).map(|number| sound(start, number, delay(number))).collect()).is_none());
    assert_eq!(recorder.finish().expect("written"), Stats { written: 500, late: 0 });
    assert_eq!(Read::of(disk.file.get_ref()).times(AUDIO), (0..500).map(|number| number * 20).collect::<Vec<_>>());
}

#[test]
fn without_reports_arrival_decides_once() {
    let mut disk = Disk::default();
    let mut recorder = Recorder::new(&mut disk, DATE);
    assert!(record(&mut recorder, conversation(moment())).is_none());
    recorder.finish().expect("written");
    let read = Read::of(disk.file.get_ref());
    assert_eq!(read.times(AUDIO), (0..500).map(|number| number * 20).collect::<Vec<_>>());
    assert_eq!(read.times(VIDEO), (0..250).map(|number| number * 40 + 60).collect::<Vec<_>>());
}

/// Records 20 s of pictures, with a report each second of a clock that counts since `epoch` in NTP seconds and is off by so many
/// milliseconds.
fn recorded_with_reports(epoch: u64, off: impl Fn(u32) -> i64) -> (Stats, Vec<i64>) {
    recorded_with_clocks(epoch, off, |_| 0)
}

/// The same where the media clock is off by so many ticks in that second.
fn recorded_with_clocks(epoch: u64, off: impl Fn(u32) -> i64, ticks: impl Fn(u32) -> u32) -> (Stats, Vec<i64>) {
    let start = moment();
    let mut disk = Disk::default();
    let mut recorder = Recorder::new(&mut disk, DATE);
    for second in 0..20 {
        let time = RtpTime(0xffff_f000).add(90_000 * second).add(ticks(second));
        let said = i64::from(second) * 1_000 + off(second);
        let ntp = (epoch << 32).wrapping_add_signed((said << 32) / 1_000);
        recorder.clock_map(MediaKind::Video, PICTURES, time, NtpTime(ntp));
        let frames = (second * 25..second * 25 + 25).map(|number| {
            let picture = picture(start, number, Duration::ZERO);
            Frame { time: picture.time.add(ticks(second)), ..picture }
        });
        assert!(record(&mut recorder, frames.collect()).is_none());
    }
    let stats = recorder.finish().expect("written");
    (stats, Read::of(disk.file.get_ref()).times(VIDEO))
}

/// In NTP seconds.
const EPOCH: u64 = DATE.as_secs() + NtpTime::UNIX_EPOCH_SECONDS;

#[test]
fn reports_of_any_clock_move_nothing() {
    // The time, uptime, Unix time in the place of NTP's, and the last seconds before NTP's begin again in 2036.
    for epoch in [EPOCH, 3 * 86_400, DATE.as_secs(), u64::from(u32::MAX) - 10] {
        let (stats, times) = recorded_with_reports(epoch, |_| 0);
        assert_eq!(stats, Stats { written: 500, late: 0 });
        assert_eq!(times, (0..500).map(|number| number * 40).collect::<Vec<_>>(), "{epoch}");
    }
}

#[test]
fn reports_of_a_busy_sender_move_nothing() {
    let (stats, times) = recorded_with_reports(EPOCH, |second| [0, 70, 0, 15, -90][second as usize % 5]);
    assert_eq!((stats, times.len()), (Stats { written: 500, late: 0 }, 500));
    assert!(times.iter().zip(0..).all(|(time, number)| (time - number * 40).abs() <= 5), "{times:?}");
}

#[test]
fn a_clock_that_was_set_back_takes_no_picture_away() {
    // By 300 ms, in the middle, and believed when three reports say so.
    let (stats, times) = recorded_with_reports(EPOCH, |second| if second < 8 { 0 } else { -300 });
    assert_eq!((stats, times.len()), (Stats { written: 500, late: 0 }, 500));
    assert!(times.windows(2).all(|pair| pair[1] > pair[0]) && times[499] == 499 * 40 - 300, "{times:?}");
}

#[test]
fn whichever_clock_was_set_no_picture_moves() {
    let all: Vec<_> = (0..500).map(|number| number * 40).collect();
    for set in [-60_000, -9_900, -5_000, -1_200, 1_200, 5_000, 9_900, 60_000] {
        let since = |second: u32, set: i64| if second < 8 { 0 } else { set };
        let (stats, times) = recorded_with_reports(EPOCH, |second| since(second, set));
        assert!(stats.late == 0 && times == all, "the wall clock by {set} ms: {times:?}");
        let (stats, times) = recorded_with_clocks(EPOCH, |_| 0, |second| since(second, set * 90) as u32);
        assert!(stats.late == 0 && times == all, "the media clock by {set} ms: {times:?}");
    }
}

#[test]
fn lips_fit_when_a_wall_clock_was_set() {
    let start = moment();
    let mut disk = Disk::default();
    let mut recorder = Recorder::new(&mut disk, DATE);
    report(&mut recorder, DATE);
    let mut frames = conversation(start);
    frames.sort_by_key(|frame| frame.arrival);
    for second in 0..11 {
        // After the fifth second, those of pictures say so one second after those of sound.
        let (kind, stream, rate) = match second % 2 {
            0 => (MediaKind::Video, PICTURES, ClockRate::VIDEO),
            _ => (MediaKind::Audio, SOUND, ClockRate::OPUS),
        };
        let set = Duration::from_secs(if second < 5 { 0 } else { 5 });
        let unix = DATE + Duration::from_secs(second.into()) + set;
        recorder.clock_map(kind, stream, RtpTime(0xffff_f000).add(rate.0 * second), NtpTime::from_unix(unix));
        let until = start + Duration::from_secs(u64::from(second) + 1);
        let rest = frames.split_off(frames.partition_point(|frame| frame.arrival < until));
        assert!(record(&mut recorder, std::mem::replace(&mut frames, rest)).is_none());
    }
    assert_eq!(recorder.finish().expect("written"), Stats { written: 750, late: 0 });
    let read = Read::of(disk.file.get_ref());
    assert_eq!(read.times(AUDIO), (0..500).map(|number| number * 20).collect::<Vec<_>>());
    assert_eq!(read.times(VIDEO), (0..250).map(|number| number * 40).collect::<Vec<_>>());
}

#[test]
fn a_stream_that_begins_anew_goes_on_where_it_arrives() {
    let start = moment();
    let mut disk = Disk::default();
    let mut recorder = Recorder::new(&mut disk, DATE);
    report(&mut recorder, DATE);
    let mut frames: Vec<_> = (0..250).map(|number| sound(start, number, Duration::ZERO)).collect();
    let second = start + Duration::from_secs(8);
    // Another source, another beginning, and a wall clock of another decade.
    frames.extend((0..250).map(|number| Frame { stream: Ssrc(9), ..sound(second, number, Duration::ZERO) }));
    frames.extend((0..125).map(|number| picture(second, number, Duration::from_millis(70))));
    frames.sort_by_key(|frame| frame.arrival);
    let rest = frames.split_off(250);
    assert!(record(&mut recorder, frames).is_none());
    let unix = Duration::from_secs(5);
    recorder.clock_map(MediaKind::Audio, Ssrc(9), RtpTime(0xffff_f000), NtpTime::from_unix(unix));
    recorder.clock_map(MediaKind::Video, PICTURES, RtpTime(0xffff_f000), NtpTime::from_unix(unix));
    assert!(record(&mut recorder, rest).is_none());
    recorder.finish().expect("written");
    let read = Read::of(disk.file.get_ref());
    let times = read.times(AUDIO);
    assert_eq!((times[249], times[250], times[499]), (4_980, 8_000, 12_980));
    // Both are still in step.
    assert_eq!(read.times(VIDEO)[0], 8_000);
}

#[test]
fn a_killed_process_leaves_a_file_that_can_be_played() {
    let mut disk = Disk::default();
    let mut recorder = Recorder::new(&mut disk, DATE);
    report(&mut recorder, DATE);
    assert!(record(&mut recorder, conversation(moment())).is_none());
    drop(recorder);
    let mut blocks = 0;
    for state in &disk.states {
        let read = Read::of(state);
        assert!(read.blocks.len() >= blocks);
        // Nothing is written that is not whole, and no block without its track.
        assert!(read.blocks.iter().all(|block| read.tracks.contains(&u64::from(block.0))));
        blocks = read.blocks.len();
    }
    // All but the last second and a half.
    assert!(blocks > 750 * 8 / 10, "{blocks}");
}

#[test]
fn a_full_disk_keeps_what_it_has() {
    for room in (0..60_000).step_by(997) {
        let mut disk = Disk { room: Some(room), ..Disk::default() };
        let mut recorder = Recorder::new(&mut disk, DATE);
        report(&mut recorder, DATE);
        let error = record(&mut recorder, conversation(moment()));
        let written = recorder.stats().written;
        let finished = recorder.finish();
        let read = Read::of(disk.file.get_ref());
        assert_eq!(error.is_some() || finished.is_err(), read.blocks.len() < 750 || read.cues.is_empty(), "{room}");
        assert!(read.blocks.len() as u64 >= written);
        assert!(read.times(AUDIO).is_sorted() && read.times(VIDEO).is_sorted());
        // The duration takes no room.
        assert_eq!(read.duration.is_some(), !read.blocks.is_empty(), "{room}");
    }
}

#[test]
fn a_disk_that_breaks_at_any_write_is_said_once() {
    let mut disk = Disk::default();
    let mut recorder = Recorder::new(&mut disk, DATE);
    report(&mut recorder, DATE);
    assert!(record(&mut recorder, conversation(moment())).is_none() && recorder.finish().is_ok());
    let writes = disk.states.len();
    assert!(writes > 20, "{writes}");
    for fuse in 0..writes + 2 {
        let mut disk = Disk { fuse: Some(fuse), ..Disk::default() };
        let mut recorder = Recorder::new(&mut disk, DATE);
        report(&mut recorder, DATE);
        let error = record(&mut recorder, conversation(moment()));
        let finished = recorder.finish();
        assert!(!(error.is_some() && finished.is_err()), "{fuse}");
        assert_eq!(error.is_some() || finished.is_err(), fuse < writes, "{fuse}");
        assert_eq!(Read::of(disk.file.get_ref()).blocks.len() as u64 == 750, fuse + 2 >= writes, "{fuse}");
    }
}

#[test]
fn days_take_a_bounded_index() {
    let mut recorder = Recorder::new(Cursor::new(Vec::new()), DATE);
    let placed = |hour: i64| Placed { time: hour * 3_600_000, frame: picture(moment(), 0, Duration::ZERO) };
    for hour in 0..3 * MAX_CUES as i64 {
        recorder.write_cluster(&[placed(hour)]).expect("written");
    }
    assert!(recorder.cues.len() < MAX_CUES && recorder.cues.len() > MAX_CUES / 4);
}

fn arbitrary_frame() -> impl Strategy<Value = (u8, u32, u32, u64, bool)> {
    // Which stream, its time, a report's time and moment, and whether there is a report.
    (0..4_u8, any::<u32>(), any::<u32>(), any::<u64>(), any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_sender_makes_a_file_that_cannot_be_read(
        frames in prop::collection::vec((arbitrary_frame(), 0..400_u64), 1..80),
        room in prop::option::of(0..20_000_usize),
    ) {
        let mut disk = Disk { room, ..Disk::default() };
        let mut recorder = Recorder::new(&mut disk, DATE);
        let mut now = moment();
        let mut pushed = 0;
        for ((stream, time, reported, ntp, report), later) in frames {
            now += Duration::from_millis(later);
            let content = if stream % 2 == 0 { Content::Sound } else { Content::Picture { width: 8, height: 8 } };
            if report {
                recorder.clock_map(content.kind(), Ssrc(stream.into()), RtpTime(reported), NtpTime(ntp));
            }
            let (stream, data) = (Ssrc(stream.into()), Bytes::from_static(&[0x08; 40]));
            recorder.push(Frame { stream, time: RtpTime(time), arrival: now, data, content });
            pushed += 1;
            let _ = recorder.step(now);
        }
        let failed = recorder.failed;
        let finished = recorder.finish();
        let read = Read::of(disk.file.get_ref());
        if let (false, Ok(stats)) = (failed, finished) {
            prop_assert!(read.whole || stats.written == 0);
            prop_assert_eq!((stats.written, stats.written + stats.late), (read.blocks.len() as u64, pushed));
        }
        for track in [AUDIO, VIDEO] {
            let times = read.times(track);
            prop_assert!(times.iter().all(|time| *time >= 0) && times.is_sorted_by(|a, b| a < b));
        }
    }
}
