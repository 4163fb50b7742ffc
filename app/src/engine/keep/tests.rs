use std::fs;

use super::*;

fn frame(bytes: usize) -> Frame {
    let (stream, data) = (Ssrc(1), Bytes::from(vec![0x08; bytes]));
    Frame { stream, time: RtpTime(0), arrival: clock::now(), data, content: Content::Sound }
}

#[test]
fn a_slow_disk_costs_whole_frames_and_holds_nobody_up() {
    let (feed, queue) = Feed::new();
    for _ in 0..QUEUE + 3 {
        feed.frame(frame(100));
    }
    assert_eq!((queue.try_iter().count(), feed.queued.lost.load(Ordering::Relaxed)), (QUEUE, 3));

    let (feed, queue) = Feed::new();
    for _ in 0..40 {
        feed.frame(frame(1 << 20));
    }
    assert_eq!((queue.try_iter().count(), feed.queued.lost.load(Ordering::Relaxed)), (32, 8));
}

fn recorded(path: PathBuf) -> Vec<Event> {
    let (news, mut told) = mpsc::channel(16);
    let (feed, queue) = Feed::new();
    let writer = Writer { path, news, queued: Arc::clone(&feed.queued) };
    feed.frame(frame(100));
    drop(feed);
    writer.run(&queue, clock::wall());
    std::iter::from_fn(|| told.try_recv().ok()).collect()
}

#[test]
fn what_is_there_already_is_not_overwritten() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("call.mkv");
    let events = recorded(path.clone());
    assert!(
        matches!(
            events[..],
            [
                Event::DeviceStarted { role: "recording", .. },
                Event::Recording { by: None, on: true },
                Event::Recording { by: None, on: false }
            ]
        ),
        "{events:?}"
    );
    let first = fs::read(&path).expect("written");
    assert!(first.len() > 1024);
    let events = recorded(path.clone());
    assert!(matches!(&events[..], [Event::DeviceFailed { role: "recording", .. }]), "{events:?}");
    assert_eq!(fs::read(&path).expect("still there"), first);
}

#[test]
fn a_picture_replaces_the_one_before_it_and_only_when_wanted() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("door.jpg");
    let (news, mut told) = mpsc::channel(16);
    let files = config::Keep { snapshot: Some(path.clone()), ..config::Keep::default() };
    let mut keeping = Keeping::new(files, clock::wall(), news);
    let pictures = keeping.tap(Ssrc(1)).pictures.expect("wanted");
    for (content, wanted) in [("one", true), ("two", false), ("three", true)] {
        if content == "three" {
            keeping.keep_picture();
        }
        pictures.see(|| Some(Bytes::from_static(content.as_bytes())));
        if wanted {
            let event = told.blocking_recv().expect("written");
            assert!(matches!(&event, Event::SnapshotWritten { path: at } if *at == path), "{event:?}");
            assert_eq!(fs::read_to_string(&path).expect("there"), content);
        }
    }
    assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 1);
}
