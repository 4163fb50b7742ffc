use proptest::prelude::*;

use super::*;

fn video(text: &str) -> VideoSourceSpec {
    text.parse().expect(text)
}

#[test]
fn words_files_and_names_are_told_apart() {
    assert_eq!(video("none"), VideoSourceSpec::None);
    assert_eq!(video("synthetic"), DEFAULT_SCENE);
    let wide = VideoSourceSpec::Synthetic { width: 1280, height: 720, fps: 25 };
    assert_eq!(video("synthetic:1280x720@25"), wide);
    assert_eq!(video("a/b.Y4M"), VideoSourceSpec::File { path: "a/b.Y4M".into(), repeat: true });
    assert_eq!(video("once:f-%03d.jpg"), VideoSourceSpec::File { path: "f-%03d.jpg".into(), repeat: false });
    assert_eq!(video("/dev/video0"), VideoSourceSpec::Named("/dev/video0".into()));
    assert_eq!(video("screen"), VideoSourceSpec::Screen(None));
    assert_eq!(video("screen:HDMI-1"), VideoSourceSpec::Screen(Some("HDMI-1".into())));
    assert_eq!(video("screen:a.y4m"), VideoSourceSpec::Screen(Some("a.y4m".into())));
    assert_eq!(video("device:screen"), VideoSourceSpec::Named("screen".into()));
    assert_eq!(video("device:cam.jpg"), VideoSourceSpec::Named("cam.jpg".into()));
    let wav = AudioSourceSpec::Wav { path: "once:.wav/x.wav".trim_start_matches("once:").into(), repeat: false };
    assert_eq!("once:.wav/x.wav".parse(), Ok(wav));
}

#[test]
fn skew_and_rate_follow_the_file() {
    let skewed: AudioSinkSpec = "out.wav@-200ppm".parse().expect("valid");
    assert_eq!(skewed, AudioSinkSpec::Wav { path: "out.wav".into(), skew_ppm: -200.0 });
    assert_eq!("o.y4m@60".parse(), Ok(VideoSinkSpec::Y4m { path: "o.y4m".into(), fps: 60 }));
    assert_eq!("me@home.y4m".parse(), Ok(VideoSinkSpec::Y4m { path: "me@home.y4m".into(), fps: 30 }));
}

#[test]
fn nonsense_is_refused_with_a_hint() {
    for text in [
        "synthetic:",
        "synthetic:640",
        "synthetic:641x480",
        "synthetic:640x480@0",
        "synthetic:99999x8@30",
        "synthetic:4096x2312@30",
        "screen:",
        "",
    ] {
        assert!(text.parse::<VideoSourceSpec>().is_err(), "{text}");
    }
    for text in ["o.wav@", "o.wav@200", "o.wav@nanppm", "o.wav@1e9ppm", ""] {
        assert!(text.parse::<AudioSinkSpec>().is_err(), "{text}");
    }
    for text in ["o.y4m@0", "o.y4m@x", "o.mp4", "default"] {
        assert!(text.parse::<VideoSinkSpec>().is_err(), "{text}");
    }
    let error = "once:talk.mp3".parse::<AudioSourceSpec>().expect_err("not WAV").to_string();
    assert!(error.contains("talk.mp3") && error.contains("ffmpeg"), "{error}");
}

proptest! {
    #[test]
    fn what_is_shown_is_read_back(text in "(once:|device:|synthetic:|screen:)?[a-z/%.0-9x@+]{0,12}(\\.wav|\\.y4m|\\.mjpg)?(@[0-9+-]{1,4}(ppm)?)?") {
        if let Ok(spec) = text.parse::<AudioSourceSpec>() {
            prop_assert_eq!(spec.to_string().parse(), Ok(spec));
        }
        if let Ok(spec) = text.parse::<VideoSourceSpec>() {
            prop_assert_eq!(spec.to_string().parse(), Ok(spec));
        }
        if let Ok(spec) = text.parse::<AudioSinkSpec>() {
            prop_assert_eq!(spec.to_string().parse(), Ok(spec));
        }
        if let Ok(spec) = text.parse::<VideoSinkSpec>() {
            prop_assert_eq!(spec.to_string().parse(), Ok(spec));
        }
    }
}
