//! Pictures as planes of Y′CbCr: what capture, codec and window share without ever becoming RGB.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The longest side a picture may have, beyond what cameras give.
pub const MAX_SIDE: usize = 4096;

/// The most pixels that a picture may have that we send: 36,864 macroblocks, the largest that H.264 levels 5.1 and 5.2 allow. ITU-T H.264
/// table A-1.
pub const MAX_PIXELS: usize = 36_864 * 256;

/// Whether pictures with these sides can be sent, as JPEG and as H.264: even, neither above [`MAX_SIDE`], [`MAX_PIXELS`] together.
#[must_use]
pub const fn can_be_sent(width: usize, height: usize) -> bool {
    let fits = 0 < width && width <= MAX_SIDE && 0 < height && height <= MAX_SIDE;
    fits && width.is_multiple_of(2) && height.is_multiple_of(2) && width * height <= MAX_PIXELS
}

/// What to say of pictures that cannot be sent.
pub(crate) const SENDABLE: &str = "sides are even and at most 4096, with 4096x2304 pixels together";

/// How the two colour planes are subsampled against the luma plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sampling {
    /// 4:2:0, colour at half width and half height. RFC 2435 type 1.
    Yuv420,
    /// 4:2:2, colour at half width and full height, as most cameras give it. RFC 2435 type 0.
    Yuv422,
}

impl Sampling {
    /// Rows of a colour plane of a picture of `height` rows.
    #[must_use]
    pub const fn chroma_height(self, height: usize) -> usize {
        match self {
            Self::Yuv420 => height / 2,
            Self::Yuv422 => height,
        }
    }
}

/// One picture: three planes of bytes behind each other without padding, full-range (JPEG) levels unless its maker
/// says otherwise; nothing here rescales levels.
///
/// Both sides are even and at most [`MAX_SIDE`].
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    sampling: Sampling,
    data: Vec<u8>,
}

impl Picture {
    /// A black picture; `None` if a side is zero, odd or longer than [`MAX_SIDE`].
    #[must_use]
    pub fn new(width: usize, height: usize, sampling: Sampling) -> Option<Self> {
        let mut picture = Self { width: 0, height: 0, sampling, data: Vec::new() };
        picture.reshape(width, height, sampling).then_some(())?;
        let luma = width * height;
        picture.data[luma..].fill(128);
        Some(picture)
    }

    /// Takes another shape and keeps the memory; the content is then arbitrary. `false`, and nothing changes, where
    /// [`Self::new`] would refuse.
    pub fn reshape(&mut self, width: usize, height: usize, sampling: Sampling) -> bool {
        let fits = |side: usize| side > 0 && side <= MAX_SIDE && side.is_multiple_of(2);
        if !fits(width) || !fits(height) {
            return false;
        }
        (self.width, self.height, self.sampling) = (width, height, sampling);
        self.data.resize(Self::bytes(width, height, sampling), 0);
        true
    }

    /// Takes the top left `width` by `height` of another picture; `false` if the sides are refused as by
    /// [`Self::new`] or exceed that picture's.
    pub fn crop_from(&mut self, other: &Self, width: usize, height: usize) -> bool {
        if width > other.width || height > other.height || !self.reshape(width, height, other.sampling) {
            return false;
        }
        let strides = [(width, other.width), (width / 2, other.width / 2), (width / 2, other.width / 2)];
        for ((to, from), (narrow, wide)) in self.planes_mut().into_iter().zip(other.planes()).zip(strides) {
            for (to, from) in to.chunks_exact_mut(narrow).zip(from.chunks_exact(wide)) {
                to.copy_from_slice(&from[..narrow]);
            }
        }
        true
    }

    /// Takes what fits of another picture of any shape and is black elsewhere. Colour rows are repeated or skipped
    /// where the sampling differs.
    pub fn fit_from(&mut self, other: &Self) {
        let (width, height, sampling) = (self.width, self.height, self.sampling);
        for (plane, (to, from)) in self.planes_mut().into_iter().zip(other.planes()).enumerate() {
            to.fill(if plane == 0 { 0 } else { 128 });
            let (stride, from_stride) = if plane == 0 { (width, other.width) } else { (width / 2, other.width / 2) };
            let common = stride.min(from_stride);
            for (row, to) in to.chunks_exact_mut(stride).enumerate().take(height.min(other.height)) {
                let from_row = match (plane, sampling, other.sampling) {
                    (1 | 2, Sampling::Yuv420, Sampling::Yuv422) => row * 2,
                    (1 | 2, Sampling::Yuv422, Sampling::Yuv420) => row / 2,
                    _ => row,
                };
                if let Some(from) = from.get(from_row * from_stride..from_row * from_stride + common) {
                    to[..common].copy_from_slice(from);
                }
            }
        }
    }

    /// A black 4:2:0 picture that may be wider than [`MAX_SIDE`]: to cut others from, not to send.
    pub(crate) fn wide(width: usize, height: usize) -> Self {
        let data = vec![0; Self::bytes(width, height, Sampling::Yuv420)];
        Self { width, height, sampling: Sampling::Yuv420, data }
    }

    /// A picture of no size, to stand in for one that is being used.
    pub(crate) const fn empty() -> Self {
        Self { width: 0, height: 0, sampling: Sampling::Yuv420, data: Vec::new() }
    }

    /// Bytes of all three planes together.
    #[must_use]
    pub const fn bytes(width: usize, height: usize, sampling: Sampling) -> usize {
        width * height + 2 * (width / 2 * sampling.chroma_height(height))
    }

    /// Columns of luma.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Rows of luma.
    #[must_use]
    pub const fn height(&self) -> usize {
        self.height
    }

    /// How colour is subsampled.
    #[must_use]
    pub const fn sampling(&self) -> Sampling {
        self.sampling
    }

    /// All three planes, Y then Cb then Cr.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// All three planes, to be filled in.
    pub fn data_mut(&mut self) -> &mut [u8] {
        &mut self.data
    }

    /// The planes Y, Cb and Cr, of strides `width`, `width / 2` and `width / 2`.
    #[must_use]
    pub fn planes(&self) -> [&[u8]; 3] {
        let (y, colour) = self.data.split_at(self.width * self.height);
        let (u, v) = colour.split_at(colour.len() / 2);
        [y, u, v]
    }

    /// The planes Y, Cb and Cr, to be written.
    pub fn planes_mut(&mut self) -> [&mut [u8]; 3] {
        let (y, colour) = self.data.split_at_mut(self.width * self.height);
        let half = colour.len() / 2;
        let (u, v) = colour.split_at_mut(half);
        [y, u, v]
    }
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Picture({}x{} {:?})", self.width, self.height, self.sampling)
    }
}

/// Pictures whose memory is used again once nobody else holds them. Keeps at most [`Recycler::LIMIT`].
#[derive(Debug, Default)]
pub struct Recycler {
    pictures: Vec<Arc<Picture>>,
}

impl Recycler {
    /// More than one being shown, one being sent and one being made are not in use at a time.
    pub const LIMIT: usize = 4;

    /// A picture that nobody else holds, its shape and content arbitrary: [`Picture::reshape`] it first.
    fn take(&mut self) -> Arc<Picture> {
        // The one used last, which the caches may still hold.
        match self.pictures.iter_mut().rposition(|picture| Arc::get_mut(picture).is_some()) {
            Some(index) => self.pictures.swap_remove(index),
            None => Arc::new(Picture::empty()),
        }
    }

    /// Has `fill` make a picture in memory that nobody else holds.
    ///
    /// # Errors
    ///
    /// Those of `fill`.
    pub fn make<E>(&mut self, fill: impl FnOnce(&mut Picture) -> Result<(), E>) -> Result<Arc<Picture>, E> {
        let mut picture = self.take();
        let result = fill(Arc::make_mut(&mut picture));
        if self.pictures.len() >= Self::LIMIT {
            self.pictures.remove(0);
        }
        self.pictures.push(Arc::clone(&picture));
        result.map(|()| picture)
    }
}

/// A slot that holds the newest picture only: whoever draws takes what is there, whoever decodes never waits.
#[derive(Clone, Debug, Default)]
pub struct Latest {
    shared: Arc<Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    /// Counts pictures, so that a window uploads one only when it changed.
    sequence: AtomicU64,
    picture: Mutex<Option<Arc<Picture>>>,
}

impl Latest {
    /// Replaces the picture.
    pub fn set(&self, picture: Arc<Picture>) {
        let old = self.lock().replace(picture);
        self.shared.sequence.fetch_add(1, Ordering::Release);
        drop(old);
    }

    /// Empties the slot, as when a call ends.
    pub fn clear(&self) {
        *self.lock() = None;
        self.shared.sequence.fetch_add(1, Ordering::Release);
    }

    /// The newest picture.
    #[must_use]
    pub fn get(&self) -> Option<Arc<Picture>> {
        self.lock().clone()
    }

    /// Grows with every change of the slot.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.shared.sequence.load(Ordering::Acquire)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<Picture>>> {
        // A panic elsewhere cannot leave an `Option<Arc>` half-changed.
        self.shared.picture.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PartialEq for Latest {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_odd_empty_and_oversized_shapes() {
        for (width, height) in [(0, 8), (8, 0), (7, 8), (8, 7), (MAX_SIDE + 2, 8), (8, MAX_SIDE + 2)] {
            assert!(Picture::new(width, height, Sampling::Yuv420).is_none(), "{width}x{height}");
        }
    }

    #[test]
    fn planes_partition_the_bytes() {
        for (sampling, chroma) in [(Sampling::Yuv420, 8 * 4), (Sampling::Yuv422, 8 * 8)] {
            let picture = Picture::new(16, 8, sampling).expect("valid");
            let lengths = picture.planes().map(<[u8]>::len);
            assert_eq!(lengths, [128, chroma, chroma]);
            assert_eq!(lengths.iter().sum::<usize>(), picture.data().len());
        }
    }

    #[test]
    fn memory_is_used_again_when_it_is_free() {
        let mut recycler = Recycler::default();
        let mut make = |sampling| {
            let shape = |picture: &mut Picture| picture.reshape(16, 16, sampling).then_some(()).ok_or(());
            recycler.make(shape).expect("valid")
        };
        let first = make(Sampling::Yuv422);
        let address = first.data().as_ptr();
        let other = make(Sampling::Yuv420);
        assert_ne!(other.data().as_ptr(), address);
        drop(first);
        let again = make(Sampling::Yuv420);
        assert_eq!((again.data().as_ptr(), again.data().len()), (address, 384));
    }

    #[test]
    fn a_slot_keeps_the_newest_and_counts() {
        let slot = Latest::default();
        let clone = slot.clone();
        let picture = Arc::new(Picture::new(8, 8, Sampling::Yuv420).expect("valid"));
        clone.set(Arc::clone(&picture));
        assert!(Arc::ptr_eq(&slot.get().expect("set"), &picture));
        assert_eq!(slot.sequence(), 1);
        slot.clear();
        assert!(clone.get().is_none());
    }
}
