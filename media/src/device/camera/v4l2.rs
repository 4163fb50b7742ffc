//! Cameras of Linux, as the kernel gives them (Video4Linux2, its "capture" devices with planes in one buffer).

use std::fs;
use std::io::{self, ErrorKind};
use std::time::Duration;

use bytes::Bytes;
use v4l::buffer::{Flags, Type};
use v4l::capability::Flags as CapabilityFlags;
use v4l::frameinterval::FrameIntervalEnum;
use v4l::framesize::FrameSizeEnum;
use v4l::io::mmap::Stream;
use v4l::io::traits::{CaptureStream, Stream as _};
use v4l::video::Capture;
use v4l::video::capture::Parameters;
use v4l::{Device, Format, FourCC, Fraction};

use super::{Driver, Found, Layout, RATE, Raw, SIZE, distance};
use crate::picture::MAX_PIXELS;

/// What the kernel calls the layouts we take.
const FORMATS: [(&[u8; 4], Layout); 5] = [
    (b"MJPG", Layout::Jpeg),
    (b"JPEG", Layout::Jpeg),
    (b"NV12", Layout::Nv12),
    (b"YUYV", Layout::Yuyv),
    (b"GREY", Layout::Grey),
];
/// Frames the kernel may fill while we copy one.
const BUFFERS: u32 = 4;
/// How long to wait for a frame before it is looked whether anybody still wants one.
const WAIT: Duration = Duration::from_millis(250);
/// A frame takes no more than this: two bytes for each pixel, and any JPEG of them.
const MAX_FRAME: usize = 2 * MAX_PIXELS;

/// All nodes that give pictures. A camera has others, for metadata, and a codec's node takes pictures, too.
pub(super) fn list() -> Vec<Found> {
    // Not from /dev, where udev may add links of any name.
    let entries = fs::read_dir("/sys/class/video4linux").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.strip_prefix("video")?.parse().ok());
    numbers.filter_map(found).collect()
}

fn found(number: u32) -> Option<Found> {
    let folder = format!("/sys/class/video4linux/video{number}");
    let name = fs::read(format!("{folder}/name")).unwrap_or_default();
    let port = fs::canonicalize(format!("{folder}/device")).ok();
    let port = port.as_deref().and_then(|port| port.file_name()?.to_str()).map(str::to_owned);
    // A name that was cut off within a character is still a name.
    let found = Found { number, name: String::from_utf8_lossy(&name).trim().to_owned(), port };
    gives_pictures(&found).then_some(found)
}

/// Whether a node gives pictures and takes none. One that cannot be asked may: opening it will say what is wrong.
fn gives_pictures(node: &Found) -> bool {
    let device = match Device::new(node.number as usize) {
        Ok(device) => device,
        Err(error) => return matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ResourceBusy),
    };
    // A loopback camera without anybody behind it has no formats. Nothing more may be asked of it: v4l2loopback 0.12
    // remembers what it could do when it was asked, and would then let in nobody who comes to feed it.
    if !device.enum_formats().is_ok_and(|formats| !formats.is_empty()) {
        return false;
    }
    // The library wants names in UTF-8, and the driver may cut a longer one off anywhere.
    let can = node.name.is_ascii().then(|| device.query_caps().ok()).flatten();
    let takes = CapabilityFlags::VIDEO_OUTPUT | CapabilityFlags::VIDEO_M2M;
    can.is_none_or(|can| !can.capabilities.intersects(takes))
}

/// Opens a node in the format closest to what we want, and has it run.
pub(super) fn start(number: u32) -> Result<Box<dyn Driver>, String> {
    let fault = |what: &'static str| move |error| format!("{what}: {}", reason(&error));
    let device = Device::new(number as usize).map_err(fault("it cannot be opened"))?;
    let offers = offers(&device);
    let best = offers.iter().min_by_key(|it| distance(it.layout, it.size, rate(it.interval)));
    let best = best.ok_or("it has no format that we can use: MJPG, NV12, YUYV and GREY are")?;

    // Drivers round what they are asked for.
    let wanted = Format::new(best.size.0, best.size.1, best.fourcc);
    let format = device.set_format(&wanted).map_err(fault("it takes no format"))?;
    let layout = layout(format.fourcc).ok_or("it prefers a format that we cannot use")?;
    if let Err(error) = device.set_params(&Parameters::new(best.interval)) {
        tracing::debug!(%error, "a camera keeps its own pace");
    }
    let mut stream =
        Stream::with_buffers(&device, Type::VideoCapture, BUFFERS).map_err(fault("it gives no buffers"))?;
    // `next` hands in the first one by itself; the kernel may give more or fewer than we asked for.
    for index in 1..32 {
        if CaptureStream::queue(&mut stream, index).is_err() {
            break;
        }
    }
    stream.start().map_err(fault("it does not start"))?;
    tracing::debug!(number, ?layout, width = format.width, height = format.height, "a camera runs");
    Ok(Box::new(Camera { stream, layout, format }))
}

/// A camera that runs.
struct Camera {
    stream: Stream<'static>,
    layout: Layout,
    format: Format,
}

impl Driver for Camera {
    fn next_frame(&mut self) -> Result<Option<Raw>, String> {
        match self.stream.handle().poll(libc::POLLIN, WAIT.as_millis() as i32) {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(None),
            Err(error) => return Err(reason(&error)),
        }
        // Also an error that woke us: it is told here.
        let (buffer, about) = self.stream.next().map_err(|error| reason(&error))?;
        let used = buffer.get(..about.bytesused as usize).unwrap_or_default();
        if about.flags.contains(Flags::ERROR) || used.is_empty() || used.len() > MAX_FRAME {
            return Ok(None);
        }
        let (width, height) = (self.format.width as usize, self.format.height as usize);
        let bytes = match self.layout {
            // Pixels of screens are none of the formats above.
            Layout::Jpeg | Layout::Bgrx => Bytes::copy_from_slice(used),
            Layout::Nv12 => tight(used, self.format.stride as usize, width, height * 3 / 2),
            Layout::Yuyv => tight(used, self.format.stride as usize, width * 2, height),
            Layout::Grey => tight(used, self.format.stride as usize, width, height),
        };
        Ok(Some(Raw { layout: self.layout, width, height, bytes }))
    }
}

fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENODEV) => "it was unplugged".to_owned(),
        Some(libc::EBUSY) => "another program uses it".to_owned(),
        Some(libc::EACCES) => "you may not use cameras: on most systems, members of the group \"video\" may".to_owned(),
        _ => error.to_string(),
    }
}

/// A copy without what a driver adds at the end of each row.
fn tight(bytes: &[u8], stride: usize, row: usize, rows: usize) -> Bytes {
    if stride <= row {
        return Bytes::copy_from_slice(bytes);
    }
    bytes.chunks(stride).take(rows).flat_map(|padded| padded.iter().take(row).copied()).collect()
}

/// A way in which a camera gives pictures.
struct Offer {
    layout: Layout,
    fourcc: FourCC,
    size: (u32, u32),
    interval: Fraction,
}

/// All that we can use of what a camera offers; of a range, what is closest to what we want.
fn offers(device: &Device) -> Vec<Offer> {
    let mut offers = Vec::new();
    for description in device.enum_formats().unwrap_or_default() {
        let Some(layout) = layout(description.fourcc) else { continue };
        let fourcc = description.fourcc;
        for size in sizes(device, fourcc) {
            for interval in intervals(device, fourcc, size) {
                offers.push(Offer { layout, fourcc, size, interval });
            }
        }
    }
    offers
}

fn sizes(device: &Device, fourcc: FourCC) -> Vec<(u32, u32)> {
    let sizes = device.enum_framesizes(fourcc).unwrap_or_default().into_iter().map(|it| match it.size {
        FrameSizeEnum::Discrete(size) => (size.width, size.height),
        FrameSizeEnum::Stepwise(size) => (
            step(SIZE.0, size.min_width, size.max_width, size.step_width),
            step(SIZE.1, size.min_height, size.max_height, size.step_height),
        ),
    });
    let sizes: Vec<_> = sizes.collect();
    // A driver that does not tell has to be asked.
    if sizes.is_empty() { vec![SIZE] } else { sizes }
}

fn intervals(device: &Device, fourcc: FourCC, (width, height): (u32, u32)) -> Vec<Fraction> {
    let intervals = device.enum_frameintervals(fourcc, width, height).unwrap_or_default();
    let intervals: Vec<_> = intervals
        .into_iter()
        .map(|it| match it.interval {
            FrameIntervalEnum::Discrete(interval) => interval,
            FrameIntervalEnum::Stepwise(range) => between(range.min, range.max),
        })
        .collect();
    if intervals.is_empty() { vec![Fraction::new(1, RATE)] } else { intervals }
}

/// What is closest to `wanted` of all that is so many steps more than `min`.
fn step(wanted: u32, min: u32, max: u32, step: u32) -> u32 {
    let wanted = wanted.min(max).max(min);
    min + (wanted - min) / step.max(1) * step.max(1)
}

/// Our rate if the shortest and the longest interval allow it.
fn between(shortest: Fraction, longest: Fraction) -> Fraction {
    match RATE {
        wanted if wanted > rate(shortest) => shortest,
        wanted if wanted < rate(longest) => longest,
        wanted => Fraction::new(1, wanted),
    }
}

/// Pictures a second, rounded: 30000/1001 is as good as 30.
fn rate(interval: Fraction) -> u32 {
    let (seconds, parts) = (u64::from(interval.numerator.max(1)), u64::from(interval.denominator));
    u32::try_from((parts + seconds / 2) / seconds).unwrap_or(u32::MAX)
}

fn layout(fourcc: FourCC) -> Option<Layout> {
    FORMATS.iter().find(|(it, _)| **it == fourcc.repr).map(|(_, layout)| *layout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_taken_out() {
        assert_eq!(tight(&[1, 2, 0, 0, 3, 4, 0, 0, 9], 4, 2, 2), [1, 2, 3, 4].as_slice());
        assert_eq!(tight(&[1, 2, 3, 4], 2, 2, 2), [1, 2, 3, 4].as_slice());
        // A frame that came short stays short.
        assert_eq!(tight(&[1, 2, 0, 0, 3], 4, 2, 2), [1, 2, 3].as_slice());
    }

    #[test]
    fn what_keeps_a_camera_from_us_is_told_in_words() {
        let told = |code| reason(&io::Error::from_raw_os_error(code));
        assert_eq!(told(libc::ENODEV), "it was unplugged");
        assert!(told(libc::EBUSY).contains("another program"));
        assert!(told(libc::EACCES).contains("group"));
        assert!(told(libc::EIO).contains("os error 5"));
    }

    #[test]
    fn ranges_hold_what_is_closest() {
        assert_eq!(step(640, 48, 8192, 2), 640);
        assert_eq!(step(640, 800, 8192, 16), 800);
        assert_eq!(step(640, 2, 320, 2), 320);
        assert_eq!(step(640, 3, 8192, 8), 635);
        // What no driver should say.
        assert_eq!((step(640, 0, u32::MAX, 0), step(640, 9, 3, 0)), (640, 9));
        let interval = |range: (u32, u32)| rate(between(Fraction::new(1, range.1), Fraction::new(1, range.0)));
        assert_eq!([(1, 60), (1, 15), (50, 90)].map(interval), [30, 15, 50]);
    }

    #[test]
    fn rates_need_not_be_whole_numbers() {
        assert_eq!(
            [(1, 30), (1001, 30_000), (2, 15), (1, 0), (0, 30)].map(|(n, d)| rate(Fraction::new(n, d))),
            [30, 30, 8, 0, 30]
        );
    }

    #[test]
    fn a_cameras_jpeg_is_liked_best_at_the_size_and_pace_of_a_call() {
        let offers = [
            (Layout::Jpeg, (1920, 1080), 30),
            (Layout::Jpeg, (640, 480), 15),
            (Layout::Yuyv, (640, 480), 30),
            (Layout::Jpeg, (640, 480), 60),
            (Layout::Jpeg, (640, 480), 30),
            (Layout::Jpeg, (640, 480), 120),
        ];
        let best = offers.iter().min_by_key(|(layout, size, rate)| distance(*layout, *size, *rate));
        assert_eq!(best, Some(&offers[4]));
    }
}
