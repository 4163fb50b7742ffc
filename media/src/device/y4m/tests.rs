use std::io::Cursor;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::testing;

fn header(line: &str) -> Result<Header, Y4mError> {
    Reader::new(format!("{line}\n").as_bytes()).map(|reader| reader.header())
}

#[test]
fn reads_what_it_writes() {
    for sampling in [Sampling::Yuv420, Sampling::Yuv422] {
        let pictures = [1, 2, 3].map(|seed| testing::picture(32, 18, sampling, seed));
        let mut file = Vec::new();
        let rate = FrameRate { pictures: 30_000, seconds: 1_001 };
        let mut writer = Writer::new(&mut file, 32, 18, sampling, rate).expect("writes");
        for picture in &pictures {
            writer.write(picture).expect("writes");
        }
        let mut reader = Reader::new(Cursor::new(file)).expect("reads");
        assert_eq!(reader.header(), Header { width: 32, height: 18, rate, sampling, full_range: true });
        let mut picture = Picture::empty();
        for round in 0..2 {
            assert!(reader.read(&mut picture).expect("reads"));
            assert_eq!(picture, pictures[0], "{round}");
            assert!(reader.skip().expect("reads"));
            assert!(reader.read(&mut picture).expect("reads"));
            assert_eq!(picture, pictures[2], "{round}");
            assert!(!reader.read(&mut picture).expect("reads"));
            reader.rewind().expect("seeks");
        }
    }
}

#[test]
fn reads_the_headers_others_write() {
    let ffmpeg =
        header("YUV4MPEG2 W1280 H720 F30:1 Ip A1:1 C420mpeg2 XYSCSS=420MPEG2 XCOLORRANGE=LIMITED").expect("valid");
    assert_eq!((ffmpeg.width, ffmpeg.height, ffmpeg.rate, ffmpeg.full_range), (1280, 720, FrameRate::whole(30), false));
    let plain = header("YUV4MPEG2 H2 W4 F25:2").expect("valid");
    assert_eq!((plain.width, plain.height, plain.sampling), (4, 2, Sampling::Yuv420));
}

#[test]
fn malformed_headers_say_what_is_wrong() {
    for line in ["", "YUV4MPEG", "FRAME", "YUV4MPEG2W4 H2 F1:1"] {
        assert!(matches!(header(line), Err(Y4mError::NotY4m)), "{line}");
    }
    for (line, name) in [
        ("YUV4MPEG2", 'W'),
        ("YUV4MPEG2 W4 F1:1", 'H'),
        ("YUV4MPEG2 W4 H2", 'F'),
        ("YUV4MPEG2 W-4 H2 F1:1", 'W'),
        ("YUV4MPEG2 W4 H99999999999999999999 F1:1", 'H'),
        ("YUV4MPEG2 W4 H2 F0:0", 'F'),
        ("YUV4MPEG2 W4 H2 F1:0", 'F'),
        ("YUV4MPEG2 W4 H2 F1000:1", 'F'),
        ("YUV4MPEG2 W4 H2 F30", 'F'),
    ] {
        assert!(matches!(header(line), Err(Y4mError::Parameter(it)) if it == name), "{line}");
    }
    for (width, height) in [(0, 2), (4, 3), (5, 2), (4098, 2), (2, 4098), (4096, 2306), (usize::MAX, usize::MAX)] {
        let line = format!("YUV4MPEG2 W{width} H{height} F1:1");
        assert!(matches!(header(&line), Err(Y4mError::Size { .. })), "{line}");
    }
    assert!(header("YUV4MPEG2 W4096 H2304 F1:1").is_ok() && header("YUV4MPEG2 W16 H4096 F1:1").is_ok());
    let error = header("YUV4MPEG2 W4 H2 F1:1 C420p10").expect_err("10 bits");
    assert!(error.to_string().contains("420p10") && error.to_string().contains("ffmpeg"), "{error}");
    assert!(matches!(Reader::new([b'Y'; 5_000].as_slice()), Err(Y4mError::NotY4m)));
}

#[test]
fn a_cut_last_picture_is_the_end() {
    let mut picture = Picture::empty();
    for cut in ["", "FRA", "FRAME", "FRAME\n", "FRAME Ixyz\nabc"] {
        let file = format!("YUV4MPEG2 W4 H2 F1:1\n{cut}");
        assert!(!Reader::new(file.as_bytes()).expect("valid").read(&mut picture).expect("ends"), "{cut}");
    }
    let file = "YUV4MPEG2 W4 H2 F1:1\nFRAMES\nabcdefghijkl";
    assert!(matches!(Reader::new(file.as_bytes()).expect("valid").read(&mut picture), Err(Y4mError::NotY4m)));
}

#[test]
fn studio_range_becomes_full_range() {
    let mut file = b"YUV4MPEG2 W4 H2 F1:1\nFRAME\n".to_vec();
    file.extend([0, 16, 126, 235, 255, 17, 234, 16, 16, 240, 128, 129]);
    let mut picture = Picture::empty();
    assert!(Reader::new(file.as_slice()).expect("valid").read(&mut picture).expect("reads"));
    assert_eq!(picture.data(), [0, 0, 128, 255, 255, 1, 254, 0, 0, 255, 128, 129]);
}

#[test]
fn every_level_is_stretched_to_the_nearest_or_its_neighbour() {
    for level in 0..=255_u8 {
        let mut picture = Picture::new(2, 2, Sampling::Yuv420).expect("valid");
        picture.data_mut().fill(level);
        stretch(&mut picture);
        let luma = (f64::from(level) - 16.0) * 255.0 / 219.0;
        let chroma = (f64::from(level) - 128.0) * 255.0 / 224.0 + 128.0;
        for (plane, exact) in picture.planes().into_iter().zip([luma, chroma, chroma]) {
            assert!((f64::from(plane[0]) - exact.clamp(0.0, 255.0)).abs() < 1.0, "{level}: {} for {exact}", plane[0]);
        }
    }
}

#[test]
fn a_picture_of_another_shape_is_fitted() {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, 8, 4, Sampling::Yuv420, FrameRate::whole(1)).expect("writes");
    let mut small = Picture::new(4, 2, Sampling::Yuv422).expect("valid");
    small.data_mut().fill(9);
    writer.write(&small).expect("writes");
    let mut picture = Picture::empty();
    assert!(Reader::new(file.as_slice()).expect("valid").read(&mut picture).expect("reads"));
    let mut expected = Picture::new(8, 4, Sampling::Yuv420).expect("valid");
    let [y, u, v] = expected.planes_mut();
    y[..4].fill(9);
    y[8..12].fill(9);
    u[..2].fill(9);
    v[..2].fill(9);
    assert_eq!(picture, expected);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 0..400),
        valid: bool,
        words in "( [WHFCIAX][0-9:a-zA-Z=]{0,6}){0,6}",
    ) {
        if valid {
            bytes.splice(..0, format!("YUV4MPEG2{words}\nFRAME\n").into_bytes());
        }
        if let Ok(mut reader) = Reader::new(Cursor::new(bytes)) {
            let mut picture = Picture::empty();
            for _ in 0..10 {
                if !matches!(reader.read(&mut picture), Ok(true)) {
                    break;
                }
            }
            let _ = (reader.rewind(), reader.skip(), reader.skip());
        }
    }

    #[test]
    fn an_index_is_found_again_by_its_offset(pictures in 1_u32..240_000, seconds in 1_u32..2_000, index in 0_u64..10_000_000) {
        let rate = FrameRate { pictures, seconds };
        let offset = rate.offset(index);
        prop_assert_eq!(rate.index(offset), index);
        if index > 0 && offset > Duration::from_micros(2) {
            prop_assert_eq!(rate.index(offset - Duration::from_nanos(2)), index - 1);
        }
    }
}
