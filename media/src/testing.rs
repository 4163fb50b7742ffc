//! What tests of this crate share.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use visavis_net::testing::heap::Heap;
pub(crate) use visavis_net::testing::moment;

use crate::device::y4m::Reader;
use crate::picture::{Picture, Sampling};
use crate::rt;

/// Notices who asks for memory, or gives some back, from within a callback of the sound system.
#[global_allocator]
static HEAP: Heap = Heap::watching(rt::is_real_time);

/// A directory that goes away with its test.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("visavis-media-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory for temporary files");
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A smooth picture with an edge and some texture, another one for each `seed`.
pub(crate) fn picture(width: usize, height: usize, sampling: Sampling, seed: u32) -> Picture {
    let mut picture = Picture::new(width, height, sampling).expect("valid");
    let [y, u, v] = picture.planes_mut();
    for (row, line) in y.chunks_exact_mut(width).enumerate() {
        for (column, pixel) in line.iter_mut().enumerate() {
            let (x, down) = (column as f32 + seed as f32 * 3.0, row as f32);
            let level =
                120.0 + 60.0 * (x * 0.02).sin() * (down * 0.03).cos() + if column > width / 2 { 30.0 } else { 0.0 };
            *pixel = level as u8;
        }
    }
    for (plane, base) in [(u, 100.0), (v, 150.0)] {
        for (row, line) in plane.chunks_exact_mut(width / 2).enumerate() {
            for (column, pixel) in line.iter_mut().enumerate() {
                *pixel = (base + 20.0 * ((column as f32 + row as f32) * 0.01 + seed as f32).sin()) as u8;
            }
        }
    }
    picture
}

/// Mean structural similarity of luma, over 8x8 windows every 4 pixels.
pub(crate) fn ssim(a: &Picture, b: &Picture) -> f64 {
    assert_eq!((a.width(), a.height()), (b.width(), b.height()));
    let (width, height) = (a.width(), a.height());
    let ([a, ..], [b, ..]) = (a.planes(), b.planes());
    let (c1, c2) = ((0.01_f64 * 255.0).powi(2), (0.03_f64 * 255.0).powi(2));
    let (mut total, mut windows) = (0.0, 0.0);
    for top in (0..=height - 8).step_by(4) {
        for left in (0..=width - 8).step_by(4) {
            let (mut sa, mut sb, mut saa, mut sbb, mut sab) = (0_u32, 0_u32, 0_u32, 0_u32, 0_u32);
            for row in top..top + 8 {
                let at = row * width + left;
                for (&pa, &pb) in a[at..at + 8].iter().zip(&b[at..at + 8]) {
                    let (pa, pb) = (u32::from(pa), u32::from(pb));
                    (sa, sb, saa, sbb, sab) = (sa + pa, sb + pb, saa + pa * pa, sbb + pb * pb, sab + pa * pb);
                }
            }
            let mean = |sum: u32| f64::from(sum) / 64.0;
            let (ma, mb) = (mean(sa), mean(sb));
            let (va, vb, cov) = (mean(saa) - ma * ma, mean(sbb) - mb * mb, mean(sab) - ma * mb);
            total += (2.0 * ma * mb + c1) * (2.0 * cov + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2));
            windows += 1.0;
        }
    }
    total / windows
}

/// The first pictures of a real clip at 640x480; `None`, with a reason printed, where it is not installed.
pub(crate) fn real_clip(pictures: usize) -> Option<Vec<Picture>> {
    let clip = Path::new("/usr/share/forensics-samples/original-files/movie2/movie-hello.mp4");
    let ffmpeg = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-i"])
        .arg(clip)
        .args(["-vf", "scale=640:480", "-pix_fmt", "yuv420p", "-frames:v", &pictures.to_string()])
        .args(["-f", "yuv4mpegpipe", "-"])
        .stderr(Stdio::null())
        .output();
    let pictures = ffmpeg.ok().filter(|it| it.status.success()).map(|output| {
        let mut reader = Reader::new(output.stdout.as_slice()).expect("ffmpeg writes Y4M");
        let mut pictures = Vec::new();
        let mut picture = Picture::empty();
        while reader.read(&mut picture).expect("ffmpeg writes frames") {
            pictures.push(picture.clone());
        }
        pictures
    });
    if pictures.is_none() {
        assert!(std::env::var_os("CI").is_none(), "install ffmpeg and forensics-samples-files: {}", clip.display());
        println!("skipped: ffmpeg or forensics-samples-files is not installed");
    }
    pictures
}

/// [`picture`] at 4:2:0 with grain, so that its JPEG takes as many bytes as a camera's.
pub(crate) fn noisy(width: usize, height: usize, seed: u32) -> Picture {
    let mut picture = picture(width, height, Sampling::Yuv420, seed);
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    for pixel in picture.planes_mut()[0].iter_mut() {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        *pixel = pixel.saturating_add((state >> 28) as u8);
    }
    picture
}
