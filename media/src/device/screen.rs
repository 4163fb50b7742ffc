//! What is on a screen, by X11: the core protocol, RandR for the monitors, XFIXES for the pointer.
//!
//! Pictures come over the connection, not by shared memory: that takes code that only promises to be safe, and a copy costs less than
//! what is done with it after.

mod looks;

use std::env;
use std::fmt;
use std::sync::LazyLock;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use x11rb::connection::{Connection, RequestConnection};
use x11rb::errors::ReplyError;
use x11rb::protocol::randr::{self, ConnectionExt as _};
use x11rb::protocol::xfixes::ConnectionExt as _;
use x11rb::protocol::xproto::{ConnectionExt as _, ImageFormat, ImageOrder, Screen as Root};
use x11rb::rust_connection::RustConnection;

use self::looks::Looks;
use super::camera::{Camera, Driver, Layout, PROOF, Raw};
use super::video::Captured;
use super::y4m::FrameRate;
use super::{DeviceError, Kind, VideoSourceSpec};

/// Pictures a second.
const RATE: FrameRate = FrameRate::whole(30);
/// How long to wait for the next wish before it is looked whether anybody still has any.
const WAIT: Duration = Duration::from_millis(250);
/// Pictures after which it is looked whether the monitor has another size or place.
const LOOK: u64 = 30;
/// A display that takes longer to say what there is hangs.
const PATIENCE: Duration = Duration::from_secs(2);
/// The masks of red, green and blue in a pixel of four bytes, as practically every display has them.
const MASKS: (u32, u32, u32) = (0xff_0000, 0xff00, 0xff);

const NO_DISPLAY: &str = "DISPLAY is not set: start this from within the desktop, or say which, as in DISPLAY=:0";
const WAYLAND: &str =
    "this desktop runs on Wayland, where X11 shows nothing of it: log in to a session on Xorg, or choose a camera";
const GONE: &str = "the display went away";

/// A monitor that is being looked at. The display is asked for a picture whenever one is due, on a thread of its own.
pub(super) struct Screen {
    camera: Camera,
    ask: SyncSender<()>,
    start: Instant,
    /// Pictures due before the next one.
    next: u64,
}

impl Screen {
    /// Looks at the monitor of this name or number, or at the one that the desktop calls its first.
    pub(super) fn open(name: Option<&str>, now: Instant) -> Result<Self, DeviceError> {
        let (ask, asked) = mpsc::sync_channel(1);
        let wanted = name.map(str::to_owned);
        let start = move || Ok(Box::new(Display::open(wanted, asked)?) as Box<dyn Driver>);
        let camera = Camera::run(Kind::Screen, name.unwrap_or("screen").to_owned(), now, start)?;
        Ok(Self { camera, ask, start: now, next: 0 })
    }

    /// The newest picture if it is a new one.
    pub(super) fn next(&mut self, now: Instant) -> Result<Option<Captured>, DeviceError> {
        let index = RATE.index(now.saturating_duration_since(self.start));
        if index >= self.next {
            self.next = index + 1;
            // One that is still being taken comes instead; of a display that went away the last words are there.
            let _ = self.ask.try_send(());
        }
        self.camera.next(now)
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.camera.next_due()
    }
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screen").field("camera", &self.camera).field("next", &self.next).finish_non_exhaustive()
    }
}

/// What names each monitor in a specification, the desktop's first one first; of a display that hangs, what it had before.
pub(super) fn names() -> Vec<String> {
    static LOOKS: LazyLock<Looks> = LazyLock::new(Looks::default);
    LOOKS.names(PATIENCE, || {
        let found = connect().and_then(|(connection, root)| monitors(&connection, &root));
        let name = |monitor: Monitor| VideoSourceSpec::Screen(Some(monitor.name)).to_string();
        found.unwrap_or_default().into_iter().map(name).collect()
    })
}

/// A monitor and where it is on the display, in pixels.
#[derive(Clone, Debug)]
struct Monitor {
    name: String,
    x: i16,
    y: i16,
    width: u16,
    height: u16,
}

struct Display {
    connection: RustConnection,
    root: Root,
    wanted: Option<String>,
    monitor: Monitor,
    pointer: bool,
    asked: Receiver<()>,
    given: u64,
    /// Pictures in a row that the display refused.
    refused: u64,
}

impl Display {
    fn open(wanted: Option<String>, asked: Receiver<()>) -> Result<Self, String> {
        let (connection, root) = connect()?;
        check_pixels(&connection, &root)?;
        let monitor = find(&connection, &root, wanted.as_deref())?;
        let pointer = connection.xfixes_query_version(1, 0).is_ok_and(|version| version.reply().is_ok());
        Ok(Self { connection, root, wanted, monitor, pointer, asked, given: 0, refused: 0 })
    }

    /// Draws the pointer where it is: the picture of a display is without it.
    fn draw_pointer(&self, pixels: &mut [u8], (width, height): (usize, usize)) {
        let image = self.connection.xfixes_get_cursor_image().ok().and_then(|image| image.reply().ok());
        let Some(image) = image else { return };
        let from = |at: i16, hot: u16, origin: i16| i32::from(at) - i32::from(hot) - i32::from(origin);
        let (left, top) = (from(image.x, image.xhot, self.monitor.x), from(image.y, image.yhot, self.monitor.y));
        blend(&image.cursor_image, usize::from(image.width), (left, top), pixels, (width, height));
    }
}

impl Driver for Display {
    fn next_frame(&mut self) -> Result<Option<Raw>, String> {
        if self.given >= PROOF {
            match self.asked.recv_timeout(WAIT) {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => return Err("nobody looks at it".to_owned()),
            }
        }
        if self.refused > 0 || self.given.is_multiple_of(LOOK) {
            self.monitor = find(&self.connection, &self.root, self.wanted.as_deref())?;
        }
        // In blocks of 8, as pictures travel.
        let (width, height) = (self.monitor.width & !7, self.monitor.height & !7);
        let Monitor { x, y, .. } = self.monitor;
        let image = self.connection.get_image(ImageFormat::Z_PIXMAP, self.root.root, x, y, width, height, u32::MAX);
        let image = image.map_err(|_| GONE)?.reply();
        let mut bytes = match image {
            Ok(image) => image.data,
            // It has become smaller since it was looked at.
            Err(ReplyError::X11Error(_)) if self.refused < LOOK => {
                self.refused += 1;
                return Ok(None);
            }
            Err(ReplyError::X11Error(error)) => return Err(format!("it gives no pictures ({:?})", error.error_kind)),
            Err(ReplyError::ConnectionError(_)) => return Err(GONE.to_owned()),
        };
        (self.given, self.refused) = (self.given + 1, 0);
        let (width, height) = (usize::from(width), usize::from(height));
        if self.pointer {
            self.draw_pointer(&mut bytes, (width, height));
        }
        Ok(Some(Raw { layout: Layout::Bgrx, width, height, bytes: bytes.into() }))
    }
}

fn connect() -> Result<(RustConnection, Root), String> {
    let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    if !set("DISPLAY") {
        return Err(if set("WAYLAND_DISPLAY") { WAYLAND } else { NO_DISPLAY }.to_owned());
    }
    let connected = x11rb::connect(None);
    let (connection, number) = connected.map_err(|error| format!("what DISPLAY names does not answer ({error})"))?;
    let root = connection.setup().roots.get(number).ok_or("what DISPLAY names has no such screen")?.clone();
    // An X server for programs on Wayland: it sees these alone.
    if connection.extension_information("XWAYLAND").is_ok_and(|it| it.is_some()) {
        return Err(WAYLAND.to_owned());
    }
    Ok((connection, root))
}

/// Whether a pixel is four bytes: blue, green, red and nothing.
fn check_pixels(connection: &RustConnection, root: &Root) -> Result<(), String> {
    let setup = connection.setup();
    let format = setup.pixmap_formats.iter().find(|format| format.depth == root.root_depth);
    let visuals = root.allowed_depths.iter().flat_map(|depth| &depth.visuals);
    let visual = visuals.into_iter().find(|visual| visual.visual_id == root.root_visual);
    let usual = format.is_some_and(|format| format.bits_per_pixel == 32)
        && setup.image_byte_order == ImageOrder::LSB_FIRST
        && visual.is_some_and(|visual| (visual.red_mask, visual.green_mask, visual.blue_mask) == MASKS);
    let unusual = || format!("its pixels have {} bits in an unusual order: set it to 24", root.root_depth);
    usual.then_some(()).ok_or_else(unusual)
}

/// By its name, or its number from 0.
fn find(connection: &RustConnection, root: &Root, wanted: Option<&str>) -> Result<Monitor, String> {
    let monitors = monitors(connection, root)?;
    let found = match wanted {
        None => monitors.first(),
        Some(wanted) => {
            let number = || wanted.parse().ok().and_then(|number: usize| monitors.get(number));
            monitors.iter().find(|monitor| monitor.name == wanted).or_else(number)
        }
    };
    let none = || "there is no such monitor: `visavis devices` lists those that are there".to_owned();
    found.cloned().ok_or_else(none)
}

/// All monitors, the desktop's first one first. A display that knows nothing of monitors is one.
fn monitors(connection: &RustConnection, root: &Root) -> Result<Vec<Monitor>, String> {
    let known = connection.extension_information(randr::X11_EXTENSION_NAME).map_err(|_| GONE)?.is_some();
    let mut found = Vec::new();
    if known {
        let version = connection.randr_query_version(1, 5).map_err(|_| GONE)?.reply();
        let knows = version.is_ok_and(|version| (version.major_version, version.minor_version) >= (1, 5));
        let monitors = connection.randr_get_monitors(root.root, true).map_err(|_| GONE)?.reply();
        let mut monitors = monitors.ok().filter(|_| knows).map(|reply| reply.monitors).unwrap_or_default();
        monitors.sort_by_key(|monitor| !monitor.primary);
        for monitor in monitors {
            let name = connection.get_atom_name(monitor.name).map_err(|_| GONE)?.reply();
            let name = name.map(|name| String::from_utf8_lossy(&name.name).into_owned()).unwrap_or_default();
            // Older servers for programs on Wayland tell only by this.
            if name.starts_with("XWAYLAND") {
                return Err(WAYLAND.to_owned());
            }
            let randr::MonitorInfo { x, y, width, height, .. } = monitor;
            found.push(Monitor { name, x, y, width, height });
        }
    }
    if found.is_empty() {
        let geometry = connection.get_geometry(root.root).map_err(|_| GONE)?.reply().map_err(|_| GONE)?;
        found.push(Monitor { name: "0".into(), x: 0, y: 0, width: geometry.width, height: geometry.height });
    }
    Ok(found)
}

/// Lays an image of pixels with alpha, which their colours are multiplied by, over a picture.
fn blend(image: &[u32], wide: usize, (left, top): (i32, i32), pixels: &mut [u8], (width, height): (usize, usize)) {
    let inside = |at: i32, most: usize| usize::try_from(at).ok().filter(|at| *at < most);
    for (row, line) in image.chunks_exact(wide.max(1)).enumerate() {
        let Some(y) = inside(top.saturating_add(row as i32), height) else { continue };
        for (column, over) in line.iter().enumerate() {
            let Some(x) = inside(left.saturating_add(column as i32), width) else { continue };
            let [blue, green, red, alpha] = over.to_le_bytes();
            let Some(pixel) = pixels.get_mut(4 * (y * width + x)..).and_then(<[u8]>::first_chunk_mut::<3>) else {
                return;
            };
            for (under, over) in pixel.iter_mut().zip([blue, green, red]) {
                let rest = u16::from(*under) * (255 - u16::from(alpha)) / 255;
                *under = (rest + u16::from(over)).min(255) as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_covers_what_is_below_it_and_stays_inside() {
        let picture = || vec![100_u8; 4 * 4 * 2];
        // Opaque red, half black, nothing, opaque white.
        let image = [0xffff_0000, 0x8000_0000, 0, 0xffff_ffff];
        let mut pixels = picture();
        blend(&image, 2, (1, 0), &mut pixels, (4, 2));
        assert_eq!(pixels[4..12], [0, 0, 255, 100, 49, 49, 49, 100]);
        assert_eq!(pixels[20..28], [100, 100, 100, 100, 255, 255, 255, 100]);
        for at in [(-1, -1), (3, 1), (-2, 0), (i32::MAX, i32::MIN), (100, 100)] {
            let mut pixels = picture();
            blend(&image, 2, at, &mut pixels, (4, 2));
            assert_eq!(pixels.len(), 32);
            assert_eq!(pixels != picture(), at == (-1, -1) || at == (3, 1), "{at:?}");
        }
        blend(&image, 0, (0, 0), &mut picture(), (4, 2));
    }
}
