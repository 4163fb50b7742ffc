//! Players whose connection is too slow for large pictures.

use super::*;

/// Packets of a picture, and what each carries: 1.2 MB, as 4K has as Motion JPEG.
const PACKETS: usize = 923;
const PAYLOAD: usize = 1300;
const PICTURE: usize = PACKETS * (12 + PAYLOAD);

/// What comes out of a connection of 40 Mbit/s within some seconds, pictures 30 and sound 50 times a second, and the most that waited for
/// it.
fn through(scene: &mut Scene, milliseconds: u32) -> (Vec<u8>, usize) {
    let (mut all, mut unsent, mut most) = (Vec::new(), 0_usize, 0);
    for time in 0..milliseconds {
        if time % 33 == 0 {
            scene.frame(Codec::Jpeg, true, &[PAYLOAD; PACKETS]);
        }
        if time % 20 == 0 {
            scene.frame(Codec::Opus, true, &[80]);
        }
        scene.pass(ms(1));
        let mut sent = scene.taken("tcp 2");
        unsent += sent.len();
        all.append(&mut sent);
        let room = scene.players.room_for_pictures(ConnId(2)) + (1 << 20);
        assert!(unsent <= room, "{unsent} bytes wait, and the shell takes {room}");
        most = most.max(unsent);
        unsent = unsent.saturating_sub(5000);
        scene.players.backlog(scene.now, ConnId(2), unsent);
    }
    (all, most)
}

/// How many packets each frame of each channel has, and how many there are of one that has no end yet.
fn framed(mut bytes: &[u8]) -> [(Vec<usize>, usize); 4] {
    let mut channels = [const { (Vec::new(), 0) }; 4];
    while let [b'$', channel, high, low, rest @ ..] = bytes {
        let (packet, after) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        let (frames, packets) = &mut channels[usize::from(*channel)];
        *packets += 1;
        if packet[1] & 0x80 != 0 {
            frames.push(std::mem::take(packets));
        }
        bytes = after;
    }
    assert!(bytes.is_empty(), "only frames");
    channels
}

#[test]
fn large_pictures_come_whole_or_not_at_all_and_nobody_is_let_go() {
    let mut scene = Scene::new();
    scene.ask(2, "SETUP", "/mjpeg/video", &format!("Transport: {TCP}\r\n"));
    scene.ask(2, "SETUP", "/mjpeg/audio", "Transport: RTP/AVP/TCP;interleaved=2-3\r\n");
    scene.ask(2, "PLAY", "/mjpeg", "");
    scene.frame(Codec::Jpeg, true, &[10]);
    let answer = scene.taken("tcp 2");
    assert!(answer.starts_with(b"RTSP/1.0 200"));
    let (all, most) = through(&mut scene, 70_000);
    let [(pictures, _), _, (sound, _), _] = framed(&all);
    assert!(pictures.iter().all(|packets| *packets == PACKETS), "{pictures:?}");
    // As many as go through, and no more than two of them wait.
    assert!((200..300).contains(&pictures.len()), "{}", pictures.len());
    assert!(most > 1 << 20 && most < 2 * PICTURE, "{most}");
    let watching = &scene.players.list(scene.now)[0];
    assert!(watching.skipped > 1500 && scene.left().is_none(), "{watching:?}");
    assert!(sound.len() > 3400, "who misses pictures hears all: {}", sound.len());
    assert_eq!(scene.players.room_for_pictures(ConnId(2)), 2 * PICTURE);
    let answer = scene.ask(2, "TEARDOWN", "/mjpeg", "");
    assert!(answer.contains("RTSP/1.0 200") && scene.players.is_empty(), "{answer}");
}
