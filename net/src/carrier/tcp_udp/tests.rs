use proptest::prelude::*;

use super::*;

fn pool() -> Pool {
    Pool::new(16)
}

/// A frame in a form that can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Rtsp(Vec<u8>),
    Control(Vec<u8>),
    Media(u8, Vec<u8>),
}

impl From<Frame> for Seen {
    fn from(frame: Frame) -> Self {
        match frame {
            Frame::Rtsp(message) => Self::Rtsp(message),
            Frame::Control(sealed) => Self::Control(sealed),
            Frame::Media { channel, packet } => Self::Media(channel, packet.to_vec()),
        }
    }
}

impl Seen {
    fn wire(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Rtsp(message) => out.extend_from_slice(message),
            Self::Control(sealed) => frame_control(sealed, &mut out),
            Self::Media(channel, packet) => {
                out.extend_from_slice(&[b'$', *channel]);
                out.extend_from_slice(&(packet.len() as u16).to_be_bytes());
                out.extend_from_slice(packet);
            }
        }
        out
    }
}

fn drain(framer: &mut Framer) -> Result<Vec<Seen>, FrameError> {
    let pool = pool();
    let mut seen = Vec::new();
    while let Some(frame) = framer.next(&pool)? {
        seen.push(frame.into());
    }
    Ok(seen)
}

fn all_of(bytes: &[u8]) -> Result<Vec<Seen>, FrameError> {
    let mut framer = Framer::new();
    framer.push(bytes);
    drain(&mut framer)
}

fn message(body: usize) -> Vec<u8> {
    let head = format!("ANNOUNCE rtsp://h/ RTSP/1.0\r\nCSeq: 1\r\ncontent-LENGTH : {body}\r\n\r\n");
    [head.as_bytes(), &b"$v=0\r\n\r\n".iter().copied().cycle().take(body).collect::<Vec<_>>()].concat()
}

#[test]
fn one_of_each() {
    let frames = [
        Seen::Rtsp(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n".to_vec()),
        Seen::Rtsp(message(300)),
        Seen::Control(vec![7; MAX_CONTROL]),
        Seen::Media(0, vec![8; MAX_PACKET]),
        Seen::Control(Vec::new()),
        Seen::Media(3, vec![9]),
    ];
    let wire = frames.iter().flat_map(Seen::wire).collect::<Vec<_>>();
    assert_eq!(all_of(&wire).as_deref(), Ok(&frames[..]));
}

#[test]
fn control_frames_byte_by_byte() {
    let mut out = vec![1];
    frame_control(b"abc", &mut out);
    assert_eq!(out, b"\x01$\xfe\0\x03abc");
}

#[test]
fn blank_lines_between_messages_mean_nothing() {
    let frames = all_of(b"\r\n\r\nOPTIONS * RTSP/1.0\r\n\r\n\r\n\n$\x01\0\x01x\r\n").expect("sound");
    assert_eq!(frames, [Seen::Rtsp(b"OPTIONS * RTSP/1.0\r\n\r\n".to_vec()), Seen::Media(1, b"x".to_vec())]);
}

#[test]
fn other_protocols_are_refused_at_their_first_byte() {
    assert_eq!(all_of(&[0x16, 3, 1]), Err(FrameError::NotRtsp(0x16)));
    assert_eq!(all_of(b"OPTIONS * RTSP/1.0\r\n\r\n\0"), Err(FrameError::NotRtsp(0)));
}

#[test]
fn limits_are_exact() {
    let head_of = |len: usize| {
        let mut head = b"OPTIONS * RTSP/1.0\r\nX: ".to_vec();
        head.resize(len - 4, b'x');
        [&head[..], b"\r\n\r\n"].concat()
    };
    assert_eq!(all_of(&head_of(MAX_HEAD)).map(|frames| frames.len()), Ok(1));
    assert_eq!(all_of(&head_of(MAX_HEAD + 1)), Err(FrameError::HeadTooLong));
    assert_eq!(all_of(&vec![b'x'; MAX_HEAD]), Ok(vec![]));
    assert_eq!(all_of(&vec![b'x'; MAX_HEAD + 1]), Err(FrameError::HeadTooLong));
    assert_eq!(all_of(&message(MAX_BODY)).map(|frames| frames.len()), Ok(1));
    assert_eq!(all_of(&message(MAX_BODY + 1)), Err(FrameError::BodyTooLong(MAX_BODY + 1)));
    let too_long = |channel, len: usize, limit| Err(FrameError::TooLong { channel, len, limit });
    let head = |channel, len: usize| [b'$', channel, (len >> 8) as u8, len as u8];
    assert_eq!(all_of(&head(CONTROL_CHANNEL, MAX_CONTROL)), Ok(vec![]));
    assert_eq!(
        all_of(&head(CONTROL_CHANNEL, MAX_CONTROL + 1)),
        too_long(CONTROL_CHANNEL, MAX_CONTROL + 1, MAX_CONTROL)
    );
    assert_eq!(all_of(&head(2, MAX_PACKET)), Ok(vec![]));
    assert_eq!(all_of(&head(2, MAX_PACKET + 1)), too_long(2, MAX_PACKET + 1, MAX_PACKET));
}

#[test]
fn long_media_is_taken_as_long_as_a_frame_can_be() {
    let frames = [(0, 8_000), (254, 3), (0, MAX_PACKET + 1), (2, 65_535)];
    let body = |len: usize| (0..len).map(|n| (n % 251) as u8).collect::<Vec<_>>();
    let wire: Vec<u8> = frames.iter().flat_map(|(channel, len)| Seen::Media(*channel, body(*len)).wire()).collect();
    let mut framer = Framer::new();
    framer.take_long_media();
    let mut seen = Vec::new();
    for piece in wire.chunks(60_000) {
        framer.push(piece);
        seen.extend(drain(&mut framer).expect("frames"));
    }
    let expected = [
        Seen::Media(0, body(8_000)),
        Seen::Control(body(3)),
        Seen::Media(0, body(1_501)),
        Seen::Media(2, body(65_535)),
    ];
    assert!(seen == expected && framer.passed_over() == 0);
    // Where nobody takes them out of memory, no more of it is taken.
    let (pool, mut kept) = (pool(), Vec::new());
    let frame = Seen::Media(0, body(65_535)).wire();
    for _ in 0..200 {
        framer.push(&frame);
        kept.extend(framer.next(&pool).expect("a frame"));
    }
    assert_eq!((kept.len() as u64, kept.len() as u64 + framer.passed_over()), (128, 200));
    framer.push(&[b'$', CONTROL_CHANNEL, 0xff, 0xff]);
    assert!(matches!(framer.next(&pool), Err(FrameError::TooLong { .. })), "control messages are ours");
}

#[test]
fn content_length_is_one_number() {
    let with = |lines: &str| all_of(format!("OPTIONS * RTSP/1.0\r\n{lines}\r\nabc").as_bytes());
    assert_eq!(with("Content-Length: 3\r\nContent-Length: 3\r\n").map(|frames| frames.len()), Ok(1));
    for lines in [
        "Content-Length: 3\r\nContent-Length: 2\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: +1\r\n",
        "Content-Length:\r\n",
        "Content-Length: 3 3\r\n",
        "Content-Length: 99999999999999999999999\r\n",
    ] {
        assert_eq!(with(lines), Err(FrameError::ContentLength), "{lines}");
    }
    assert_eq!(with("Content-Length: 999999999\r\n"), Err(FrameError::BodyTooLong(999_999_999)));
}

#[test]
fn a_fault_stays_and_frees_the_memory() {
    let mut framer = Framer::new();
    framer.push(&[0; 1000]);
    assert_eq!(drain(&mut framer), Err(FrameError::NotRtsp(0)));
    framer.push(b"OPTIONS * RTSP/1.0\r\n\r\n");
    assert_eq!(drain(&mut framer), Err(FrameError::NotRtsp(0)));
    assert_eq!(framer.buffered(), 0);
}

#[test]
fn a_reader_that_takes_nothing_is_told() {
    let mut framer = Framer::new();
    framer.push(&vec![b'x'; MAX_BUFFERED]);
    framer.push(b"x");
    assert_eq!(framer.buffered(), MAX_BUFFERED);
    assert_eq!(drain(&mut framer), Err(FrameError::Overflow));
}

#[test]
fn memory_is_given_back() {
    let mut framer = Framer::new();
    framer.push(&message(MAX_BODY));
    assert_eq!(drain(&mut framer).map(|frames| frames.len()), Ok(1));
    framer.push(b"$");
    assert!(framer.buffer.capacity() <= KEPT);
}

#[test]
fn no_byte_is_looked_at_twice_however_slow_the_peer() {
    let mut framer = Framer::new();
    for count in 1..MAX_HEAD {
        framer.push(b"x");
        assert_eq!(drain(&mut framer), Ok(vec![]));
        assert!(framer.scanned + 3 >= count, "{count} bytes came, all after {} will be scanned again", framer.scanned);
    }
    let mut framer = Framer::new();
    let (last, before) = message(MAX_BODY).split_last().map(|(last, before)| (*last, before.to_vec())).expect("bytes");
    for byte in before {
        framer.push(&[byte]);
        assert_eq!(drain(&mut framer), Ok(vec![]));
    }
    assert_eq!(framer.message, Some(framer.buffered() + 1), "the head is read once");
    framer.push(&[last]);
    assert_eq!(drain(&mut framer).map(|frames| frames.len()), Ok(1));
}

/// A message of these ends of lines, with a body that has some as well.
fn ended(line: &str, empty: &str) -> Vec<u8> {
    format!("OPTIONS * RTSP/1.0{line}Content-Length: 6{line}CSeq: 1{line}{empty}$\r\n\n\rx").into_bytes()
}

#[test]
fn lines_end_with_either_half_of_cr_lf() {
    let ends = ["\r\n", "\n", "\r"];
    for (line, empty) in ends.into_iter().flat_map(|line| ends.map(|empty| (line, empty))) {
        // CR and then CR LF is an empty line that the first CR of it ends already.
        let empty = if line == "\r" { "\r" } else { empty };
        let message = Seen::Rtsp(ended(line, empty));
        let frames = [Seen::Media(1, b"\r\n\r\n".to_vec()), message, Seen::Media(0, b"\n\n".to_vec())];
        let wire: Vec<_> = frames.iter().chain(&frames).flat_map(Seen::wire).collect();
        let expected = [frames.clone(), frames].concat();
        for at in 0..=wire.len() {
            let (before, after) = wire.split_at(at);
            let mut framer = Framer::new();
            framer.push(before);
            let mut seen = drain(&mut framer).expect("sound");
            framer.push(after);
            seen.extend(drain(&mut framer).expect("sound"));
            assert_eq!(seen, expected, "{line:?}, {empty:?}, cut at {at}");
        }
        assert_eq!(in_pieces(&wire, &[1]).as_deref(), Ok(&expected[..]), "{line:?}, {empty:?}");
    }
}

#[test]
fn a_head_is_there_as_soon_as_it_can_be() {
    for (head, there) in [
        ("OPTIONS * RTSP/1.0\r\n\r\n", true),
        ("OPTIONS * RTSP/1.0\n\n", true),
        ("OPTIONS * RTSP/1.0\r\r", true),
        ("OPTIONS * RTSP/1.0\r\n\n", true),
        ("OPTIONS * RTSP/1.0\r\n\r", false),
        ("OPTIONS * RTSP/1.0\n\r", false),
        ("OPTIONS * RTSP/1.0\r\n", false),
        ("OPTIONS * RTSP/1.0\r", false),
    ] {
        assert_eq!(all_of(head.as_bytes()).map(|frames| frames.len()), Ok(usize::from(there)), "{head:?}");
        assert_eq!(head_len(head.as_bytes()), there.then_some(head.len()), "{head:?}");
    }
    assert_eq!(lines(b"a\r\nb\nc\rd\r\n").take(4).collect::<Vec<_>>(), [b"a", b"b", b"c", b"d"]);
    assert_eq!(lines(b"a\n\nb").nth(1), Some(&b""[..]));
    assert_eq!(lines(b"a\r\rb").nth(1), Some(&b""[..]));
}

fn a_frame() -> impl Strategy<Value = Seen> {
    let bytes = |max| prop::collection::vec(any::<u8>(), 0..max);
    prop_oneof![
        (0_usize..400).prop_map(|body| Seen::Rtsp(message(body))),
        Just(Seen::Rtsp(b"RTSP/1.0 200 OK\r\nCSeq: 2\r\n\r\n".to_vec())),
        bytes(600).prop_map(Seen::Control),
        (0_u8..CONTROL_CHANNEL, bytes(600)).prop_map(|(channel, packet)| Seen::Media(channel, packet)),
    ]
}

/// Pushes `bytes` in pieces of the given sizes, over and over.
fn in_pieces(bytes: &[u8], sizes: &[usize]) -> Result<Vec<Seen>, FrameError> {
    let mut framer = Framer::new();
    let mut seen = Vec::new();
    let mut rest = bytes;
    for &size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at(size.min(rest.len()));
        framer.push(piece);
        assert!(framer.buffered() <= MAX_BUFFERED);
        seen.extend(drain(&mut framer)?);
        rest = after;
    }
    Ok(seen)
}

/// Bytes that look like a conversation now and then.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<&[u8]> = vec![
        b"$",
        b"$\xfe\0\x05",
        b"$\x02\0\x03abc",
        b"\r\n\r\n",
        b"\r\n",
        b"\r",
        b"\n",
        b"OPTIONS * RTSP/1.0\r\n",
        b"OPTIONS * RTSP/1.0\n",
        b"Content-Length: 4",
        b":",
    ];
    let word = prop_oneof![
        5 => prop::sample::select(words).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn frames_survive_any_splitting(
        frames in prop::collection::vec(a_frame(), 0..12),
        sizes in prop::collection::vec(1_usize..700, 1..8),
    ) {
        let wire = frames.iter().flat_map(Seen::wire).collect::<Vec<_>>();
        prop_assert_eq!(in_pieces(&wire, &sizes), Ok(frames));
    }

    #[test]
    fn any_bytes_mean_the_same_however_they_are_split(
        bytes in prop_oneof![noise(), prop::collection::vec(any::<u8>(), 0..2000)],
        sizes in prop::collection::vec(1_usize..50, 1..8),
    ) {
        let whole = all_of(&bytes);
        let pieces = in_pieces(&bytes, &sizes);
        match (whole, pieces) {
            (Ok(whole), Ok(pieces)) => prop_assert_eq!(whole, pieces),
            (Err(whole), Err(pieces)) => prop_assert_eq!(whole, pieces),
            (whole, pieces) => prop_assert!(false, "{whole:?} but in pieces {pieces:?}"),
        }
    }
}
