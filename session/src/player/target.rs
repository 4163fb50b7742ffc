//! What a player's URL names: the stream, the formats that it wants, and perhaps one track of it.

use rtsp_types::Request;
use visavis_net::rtp::codec::{Codec, MediaKind};

use super::Program;
use super::talk::TALK;
use crate::rtsp::client::track;

/// The formats of one presentation. Each has a URL of its own, so that a player need not be taught to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Choice {
    /// How pictures come, if they do.
    pub video: Option<Codec>,
    /// How sound comes, if it does.
    pub audio: Option<Codec>,
    /// Whether each packet is sealed by itself, whatever carries it. RFC 3711.
    pub srtp: bool,
}

impl Choice {
    /// What players get that ask for nothing: H.264 and Opus, as far as there are pictures and sound.
    pub(crate) fn of(program: &Program) -> Self {
        Self { video: Some(Codec::H264), audio: Some(Codec::Opus), srtp: false }
            .of_what_there_is(program.video, program.audio)
    }

    /// The formats that words ask for, put together with slashes as in the path of a URL; `None` if one of them is no word for a format.
    #[must_use]
    pub fn read(words: &str) -> Option<Self> {
        let mut choice = Self { video: Some(Codec::H264), audio: Some(Codec::Opus), srtp: false };
        let all = words.split('/').filter(|word| !word.is_empty()).all(|word| choice.take(true, true, word));
        // Whoever takes it would have to be told keys.
        (all && !choice.srtp).then_some(choice)
    }

    /// What is left of it with or without pictures and sound.
    #[must_use]
    pub fn of_what_there_is(self, video: bool, audio: bool) -> Self {
        Self { video: self.video.filter(|_| video), audio: self.audio.filter(|_| audio), ..self }
    }

    /// The codec of one kind.
    #[must_use]
    pub const fn codec(&self, kind: MediaKind) -> Option<Codec> {
        match kind {
            MediaKind::Video => self.video,
            MediaKind::Audio => self.audio,
        }
    }

    /// Pictures first, as players list them.
    pub fn codecs(&self) -> impl Iterator<Item = Codec> {
        [self.video, self.audio].into_iter().flatten()
    }

    /// Takes one word of a path; `false` if it is none of ours.
    fn take(&mut self, video: bool, audio: bool, word: &str) -> bool {
        let (slot, there, codec) = match word {
            "h264" => (&mut self.video, video, Some(Codec::H264)),
            "mjpeg" => (&mut self.video, video, Some(Codec::Jpeg)),
            "opus" => (&mut self.audio, audio, Some(Codec::Opus)),
            "pcmu" => (&mut self.audio, audio, Some(Codec::Pcmu)),
            "silent" => (&mut self.audio, true, None),
            "srtp" => {
                self.srtp = true;
                return true;
            }
            _ => return false,
        };
        *slot = codec.filter(|_| there);
        true
    }
}

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The server itself: `*`.
    Server,
    /// All tracks of a presentation.
    Whole(Choice),
    /// One of them.
    Track(Choice, MediaKind),
    /// The way back to us.
    Talk(Choice),
    /// Nothing that is here.
    Nothing,
}

impl Target {
    /// Words of a path that are looked at.
    const MAX_WORDS: usize = 8;

    /// The path is the program's name, words for formats, and perhaps a track; a query says nothing.
    pub(super) fn of(program: &Program, request: &Request<Vec<u8>>) -> Self {
        let Some(url) = request.request_uri() else { return Self::Server };
        Self::of_path(program, url.path())
    }

    fn of_path(program: &Program, path: &str) -> Self {
        let mut words = path.split('/').filter(|word| !word.is_empty());
        if words.next() != Some(program.name.as_str()) {
            return Self::Nothing;
        }
        let mut choice = Choice::of(program);
        let mut words = words.take(Self::MAX_WORDS).peekable();
        while let Some(word) = words.next() {
            if program.talk_back && word == TALK && words.peek().is_none() {
                return if choice.codecs().next().is_some() { Self::Talk(choice) } else { Self::Nothing };
            }
            let kind = [MediaKind::Video, MediaKind::Audio].into_iter().find(|kind| track(*kind) == word);
            match kind {
                Some(kind) if words.peek().is_none() && choice.codec(kind).is_some() => {
                    return Self::Track(choice, kind);
                }
                None if choice.take(program.video, program.audio, word) => {}
                Some(_) | None => return Self::Nothing,
            }
        }
        if choice.codecs().next().is_some() { Self::Whole(choice) } else { Self::Nothing }
    }

    pub(super) fn choice(self) -> Option<Choice> {
        match self {
            Self::Whole(choice) | Self::Track(choice, _) | Self::Talk(choice) => Some(choice),
            Self::Server | Self::Nothing => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(video: bool, audio: bool) -> Program {
        Program { name: "door".to_owned(), video, audio, talk_back: false, ssrcs: Program::ssrcs_from([1, 2, 3, 4, 5]) }
    }

    #[test]
    fn every_format_has_a_path() {
        let both = program(true, true);
        let choice = |video, audio| Choice { video, audio, srtp: false };
        for (path, expected) in [
            ("/door", choice(Some(Codec::H264), Some(Codec::Opus))),
            ("/door/", choice(Some(Codec::H264), Some(Codec::Opus))),
            ("//door//h264/opus", choice(Some(Codec::H264), Some(Codec::Opus))),
            ("/door/mjpeg", choice(Some(Codec::Jpeg), Some(Codec::Opus))),
            ("/door/pcmu/mjpeg", choice(Some(Codec::Jpeg), Some(Codec::Pcmu))),
            ("/door/silent", choice(Some(Codec::H264), None)),
        ] {
            assert_eq!(Target::of_path(&both, path), Target::Whole(expected), "{path}");
            let track = format!("{path}/video");
            assert_eq!(Target::of_path(&both, &track), Target::Track(expected, MediaKind::Video), "{track}");
        }
        let sealed = Choice { srtp: true, ..choice(Some(Codec::Jpeg), None) };
        for path in ["/door/srtp/mjpeg/silent", "/door/mjpeg/silent/srtp"] {
            assert_eq!(Target::of_path(&both, path), Target::Whole(sealed), "{path}");
        }
        for path in
            ["", "/", "/cellar", "/door/h265", "/door/video/audio", "/door/silent/audio", "/Door", "/door/mjpeg/x"]
        {
            assert_eq!(Target::of_path(&both, path), Target::Nothing, "{path}");
        }
    }

    #[test]
    fn who_may_talk_back_finds_where() {
        let mut both = program(true, true);
        assert_eq!(Target::of_path(&both, "/door/talk"), Target::Nothing);
        both.talk_back = true;
        let choice = Choice { video: Some(Codec::Jpeg), audio: None, srtp: false };
        assert_eq!(Target::of_path(&both, "/door/mjpeg/silent/talk"), Target::Talk(choice));
        for path in ["/door/talk/video", "/door/video/talk", "/talk"] {
            assert_eq!(Target::of_path(&both, path), Target::Nothing, "{path}");
        }
    }

    #[test]
    fn what_is_not_captured_is_not_offered() {
        let sound = Choice { video: None, audio: Some(Codec::Opus), srtp: false };
        assert_eq!(Target::of_path(&program(false, true), "/door/mjpeg"), Target::Whole(sound));
        assert_eq!(Target::of_path(&program(false, true), "/door/video"), Target::Nothing);
        assert_eq!(Target::of_path(&program(false, true), "/door/silent"), Target::Nothing);
        assert_eq!(Target::of_path(&program(false, false), "/door"), Target::Nothing);
    }

    #[test]
    fn formats_are_read_without_a_url() {
        let choice = |video, audio| Some(Choice { video, audio, srtp: false });
        for (words, expected) in [
            ("", choice(Some(Codec::H264), Some(Codec::Opus))),
            ("mjpeg/pcmu", choice(Some(Codec::Jpeg), Some(Codec::Pcmu))),
            ("silent/", choice(Some(Codec::H264), None)),
            ("h265", None),
            ("srtp", None),
            ("mjpeg,pcmu", None),
        ] {
            assert_eq!(Choice::read(words), expected, "{words}");
        }
        let sound = Choice::read("mjpeg").expect("words").of_what_there_is(false, true);
        assert_eq!(Some(sound), choice(None, Some(Codec::Opus)));
    }
}
