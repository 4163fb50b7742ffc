//! Decodes what cameras send: progressive pictures of 4:2:0 at 8 bits, with CABAC, B slices and weights if they have any.

use openh264::OpenH264API;
use openh264::decoder::{DecodedYUV, DecoderConfig, Flush};
use openh264::formats::YUVSource as _;

use super::nal::{self, Layout};
use super::{H264Error, Shape};
use crate::picture::{MAX_SIDE, Picture, Sampling};

/// Bytes of parameter sets that are kept at most: ordinary ones have fewer than 100.
const MAX_SETS: usize = 8 << 10;
const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// Profiles, ITU-T H.264 annexes A and G.
const BASELINE: u8 = 66;
const MAIN: u8 = 77;
const EXTENDED: u8 = 88;
const HIGH: u8 = 100;
const SCALABLE_BASELINE: u8 = 83;
const SCALABLE_HIGH: u8 = 86;

/// Decodes access units, each of which gives its own picture at once.
///
/// Streams with B pictures are decoded in the order in which they are sent: what is shown in another order is for the
/// caller to put in order, by the timestamps that access units have in RTP. No picture is ever delayed, nothing that is
/// damaged or refers to something that is missing is given out, and nothing is concealed.
///
/// A hostile stream can have it hold some twenty pictures of 9.4 million pixels each: those of level 5.2.
pub struct Decoder {
    levels: Levels,
    /// None from an error until it is needed again.
    inner: Option<openh264::decoder::Decoder>,
    /// Only an IDR picture helps.
    lost: bool,
    /// The newest parameter sets, in Annex B form, at most [`MAX_SETS`]: some cameras send them once.
    sets: Vec<u8>,
    /// They came without a picture, and wait for one.
    fresh: bool,
    /// An access unit with them in front.
    whole: Vec<u8>,
}

impl Decoder {
    /// A decoder that waits for a key access unit.
    ///
    /// # Errors
    /// When the library has no memory.
    pub fn new() -> Result<Self, H264Error> {
        Ok(Self {
            levels: Levels::Full,
            inner: Some(open()?),
            lost: true,
            sets: Vec::new(),
            fresh: false,
            whole: Vec::new(),
        })
    }

    /// Decodes one access unit in Annex B form into `picture`, which takes its shape at 4:2:0; an odd last row or column
    /// is cut off. Levels become those of JPEG, the full range, whatever they were: see [`Shape::full_range`].
    ///
    /// `false` if there is no picture in it, or none that can be shown before a key access unit comes; `picture` is then
    /// as it was.
    ///
    /// # Errors
    /// When it is damaged, refers to something that is missing, or is of a kind or size that is not supported: the
    /// sender's fault. `picture` is then arbitrary, and nothing more comes before the next key access unit.
    pub fn decode(&mut self, access_unit: &[u8], picture: &mut Picture) -> Result<bool, H264Error> {
        self.run(access_unit, |decoded, levels| copy(decoded, levels, picture))
    }

    /// Decodes one access unit for the sake of those that follow, as [`Self::decode`] does, and saves the copying.
    ///
    /// # Errors
    /// Those of [`Self::decode`].
    pub fn pass(&mut self, access_unit: &[u8]) -> Result<bool, H264Error> {
        self.run(access_unit, |_, _| Ok(()))
    }

    fn run(
        &mut self,
        access_unit: &[u8],
        take: impl FnMut(&DecodedYUV<'_>, Levels) -> Result<(), H264Error>,
    ) -> Result<bool, H264Error> {
        let layout = Layout::of(access_unit);
        let has_sps = self.keep_sets(access_unit, &layout);
        let Some(slice) = layout.slice else {
            self.fresh |= !layout.sets.is_empty();
            return Ok(false);
        };
        if self.lost && slice != nal::IDR {
            return Ok(false);
        }
        let result = self.feed(access_unit, &layout, has_sps, take);
        match result {
            // Pictures that the library still holds would come out instead of later ones.
            Err(_) => (self.inner, self.lost) = (None, true),
            Ok(_) => (self.lost, self.fresh) = (false, false),
        }
        result
    }

    fn feed(
        &mut self,
        access_unit: &[u8],
        layout: &Layout,
        has_sps: bool,
        mut take: impl FnMut(&DecodedYUV<'_>, Levels) -> Result<(), H264Error>,
    ) -> Result<bool, H264Error> {
        let inner = match &mut self.inner {
            Some(inner) => inner,
            slot => slot.insert(open()?),
        };
        // What follows the last slice would begin another access unit, and with it the library would forget the picture.
        let mut access_unit = &access_unit[..layout.end];
        if has_sps || self.lost || self.fresh {
            // Before the library takes memory for it.
            self.levels = check(&self.sets)?;
            self.whole.clear();
            self.whole.extend_from_slice(&self.sets);
            let own = layout.sets.last().filter(|_| has_sps).map_or(0, |set| set.end);
            self.whole.extend_from_slice(&access_unit[own..]);
            access_unit = &self.whole;
        }
        let mut shown = false;
        if let Some(decoded) = inner.decode(access_unit)? {
            take(&decoded, self.levels)?;
            shown = true;
        }
        // There is one picture in an access unit; where there are more, the last one counts.
        for decoded in inner.flush_remaining()? {
            take(&decoded, self.levels)?;
            shown = true;
        }
        Ok(shown)
    }

    /// Whether a sequence parameter set is among those of this access unit, which are kept.
    fn keep_sets(&mut self, access_unit: &[u8], layout: &Layout) -> bool {
        let sets = || layout.sets.iter().filter_map(|set| access_unit.get(set.clone()));
        let has_sps = sets().any(|set| nal::kind(set) == nal::SPS);
        if has_sps {
            self.sets.clear();
        }
        for set in sets() {
            let begin = self.sets.len();
            self.sets.extend_from_slice(&START_CODE);
            self.sets.extend_from_slice(set);
            unordered(&mut self.sets[begin + START_CODE.len()..]);
            let (before, new) = self.sets.split_at(begin);
            if self.sets.len() > MAX_SETS || before.windows(new.len()).any(|known| known == new) {
                self.sets.truncate(begin);
            }
        }
        has_sps
    }
}

/// Makes a sequence parameter set say that pictures are shown in the order in which they are decoded.
///
/// The library reorders main and high profile by rules of thumb and a picture late, and loses memory where it is asked for
/// all it has at once (cisco/openh264#3872). It does not where the profile is one of the baseline ones, which is all that it
/// takes from the profile: what a stream makes use of is said elsewhere, and the syntax of the set remains the same.
fn unordered(set: &mut [u8]) {
    if nal::kind(set) == nal::SPS
        && let Some(profile) = set.get_mut(1)
    {
        *profile = match *profile {
            MAIN | EXTENDED => BASELINE,
            HIGH | SCALABLE_HIGH => SCALABLE_BASELINE,
            other => other,
        };
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("lost", &self.lost).finish_non_exhaustive()
    }
}

fn open() -> Result<openh264::decoder::Decoder, H264Error> {
    // It is quiet by default, and conceals nothing.
    let config = DecoderConfig::new().flush_after_decode(Flush::NoFlush);
    Ok(openh264::decoder::Decoder::with_api_config(OpenH264API::from_source(), config)?)
}

/// Whether the pictures that these sets announce can be taken, and what their levels are.
fn check(sets: &[u8]) -> Result<Levels, H264Error> {
    let mut levels = Levels::Full;
    // One over, because an odd side is cut.
    let fits = |side: usize| (2..=MAX_SIDE + 1).contains(&side);
    for shape in nal::units(sets).filter_map(|set| Shape::of(&sets[set])) {
        let (width, height) = (shape.width as usize, shape.height as usize);
        if !fits(width) || !fits(height) {
            return Err(H264Error::Size { width, height });
        }
        levels = if shape.full_range { Levels::Full } else { Levels::Studio };
    }
    Ok(levels)
}

/// What black and white are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Levels {
    /// 0 and 255; colours go as far.
    Full,
    /// 16 and 235; colours go from 16 to 240. ITU-R BT.601.
    Studio,
}

/// What a sample of studio levels is at full range: `black` and what is below is 0, `range` above it is 255.
fn widened(sample: u8, black: u8, range: u32) -> u8 {
    let above = u32::from(sample.saturating_sub(black)).min(range);
    // A product and no quotient, so that it is done for many at once; grey stays grey.
    ((above * ((255 << 16) / range + 1) + (1 << 15)) >> 16) as u8
}

fn copy(decoded: &DecodedYUV<'_>, levels: Levels, picture: &mut Picture) -> Result<(), H264Error> {
    let (width, height) = decoded.dimensions();
    if !picture.reshape(width & !1, height & !1, Sampling::Yuv420) {
        return Err(H264Error::Size { width, height });
    }
    let width = picture.width();
    let (luma, blue, red) = decoded.strides();
    let (y, c) = (219, 224);
    let planes = [(decoded.y(), luma, width, y), (decoded.u(), blue, width / 2, c), (decoded.v(), red, width / 2, c)];
    for (to, (from, stride, width, range)) in picture.planes_mut().into_iter().zip(planes) {
        for (to, from) in to.chunks_exact_mut(width).zip(from.chunks(stride.max(1))) {
            let from = from.get(..width).ok_or(H264Error::Size { width, height })?;
            match levels {
                Levels::Full => to.copy_from_slice(from),
                Levels::Studio => to.iter_mut().zip(from).for_each(|(to, from)| *to = widened(*from, 16, range)),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
