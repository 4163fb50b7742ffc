//! Cameras of other systems, through nokhwa.

use nokhwa::utils::{CameraFormat, CameraIndex, FrameFormat, RequestedFormat, RequestedFormatType};

use super::{Driver, Found, Layout, Raw, distance};

/// What nokhwa calls the layouts we take.
const FORMATS: [(FrameFormat, Layout); 4] = [
    (FrameFormat::MJPEG, Layout::Jpeg),
    (FrameFormat::NV12, Layout::Nv12),
    (FrameFormat::YUYV, Layout::Yuyv),
    (FrameFormat::GRAY, Layout::Grey),
];

impl Driver for nokhwa::Camera {
    fn next_frame(&mut self) -> Result<Option<Raw>, String> {
        let frame = self.frame().map_err(|error| error.to_string())?;
        let given = frame.source_frame_format();
        let layout = layout(given).ok_or_else(|| format!("it gives {given}, which is not supported"))?;
        Ok(Some(Raw {
            layout,
            width: frame.resolution().width() as usize,
            height: frame.resolution().height() as usize,
            bytes: frame.buffer_bytes(),
        }))
    }
}

pub(super) fn list() -> Vec<Found> {
    let Some(backend) = nokhwa::native_api_backend() else { return Vec::new() };
    let cameras = nokhwa::query(backend).unwrap_or_else(|error| {
        tracing::debug!(%error, "cameras cannot be listed");
        Vec::new()
    });
    let found =
        cameras.iter().map(|it| Some(Found { number: it.index().as_index().ok()?, name: it.human_name(), port: None }));
    found.flatten().collect()
}

pub(super) fn start(number: u32) -> Result<Box<dyn Driver>, String> {
    match open(number) {
        Ok(camera) => Ok(Box::new(camera)),
        Err(error) => Err(error.to_string()),
    }
}

fn open(number: u32) -> Result<nokhwa::Camera, nokhwa::NokhwaError> {
    let formats = FORMATS.map(|(format, _)| format);
    let any = RequestedFormat::with_formats(RequestedFormatType::None, &formats);
    let mut camera = nokhwa::Camera::new(CameraIndex::Index(number), any)?;
    let offered = camera.compatible_camera_formats()?;
    if let Some((_, best)) = offered.into_iter().filter_map(|it| Some((far(it)?, it))).min_by_key(|(far, _)| *far) {
        let exact = RequestedFormat::with_formats(RequestedFormatType::Exact(best), &formats);
        // Drivers round what they are asked for; the format they settled on will do.
        if let Err(error) = camera.set_camera_requset(exact) {
            tracing::debug!(%error, format = %best, "the camera prefers another format");
            camera.refresh_camera_format()?;
        }
    }
    camera.open_stream()?;
    Ok(camera)
}

fn layout(format: FrameFormat) -> Option<Layout> {
    FORMATS.iter().find(|(it, _)| *it == format).map(|(_, layout)| *layout)
}

fn far(format: CameraFormat) -> Option<(u32, u32, usize, u32)> {
    let size = (format.resolution().width(), format.resolution().height());
    Some(distance(layout(format.format())?, size, format.frame_rate()))
}
