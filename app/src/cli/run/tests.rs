use rand_core::SeedableRng;
use visavis_net::carrier::Carrier;
use visavis_net::plan::{Path, SrtpProfile};
use visavis_session::handshake::suite::Suite;
use visavis_session::identity::Identity;

use super::*;
use crate::cli::control::{Request, Source, Switch};
use crate::cli::output::tests::{Tape, screen};
use crate::contacts::Contact;
use crate::engine::carriers::{Chosen, Why};
use crate::engine::snapshot::{Flow, Viewer};
use crate::profile::Profile;

fn key(seed: u64) -> Fingerprint {
    Identity::generate(&mut rand_chacha::ChaCha20Rng::seed_from_u64(seed)).public().fingerprint()
}

fn address() -> SocketAddr {
    ([192, 0, 2, 7], 8554).into()
}

fn book() -> (tempfile::TempDir, Profile, Book) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let profile = Profile::open(Some(dir.path().to_owned())).expect("opened");
    profile
        .change_contacts(|contacts| {
            let mut ana = Contact::new("Ana", Some(Address::new("alice", 8554)), Some(key(1)));
            ana.strongest = Some(Suite::X25519MlKem768);
            ana.verified = true;
            contacts.add(ana).expect("new");
            contacts.add(Contact::new("Ben", Some(Address::new("ben", 8554)), None)).expect("new");
            true
        })
        .expect("written");
    let book = Book::new(profile.clone(), key(0)).expect("read");
    (dir, profile, book)
}

/// A command under test: the engine, the person and the signals are played by the test.
struct Scene {
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<Event>,
    snapshot: watch::Sender<Snapshot>,
    interrupts: mpsc::Sender<()>,
    keyboard: Option<mpsc::Sender<String>>,
    control: mpsc::Sender<Asked>,
    out: Tape,
    err: Tape,
    profile: Profile,
    running: tokio::task::JoinHandle<Exit>,
    _dir: tempfile::TempDir,
}

#[derive(Clone, Copy, Default)]
struct Options {
    duration: Option<Duration>,
    chosen: &'static [&'static str],
    style: Option<Style>,
}

impl Scene {
    fn new(goal: Goal, options: Options) -> Self {
        let (dir, profile, book) = book();
        let (screen, out, err) = screen(options.style.unwrap_or(Style::Plain));
        let (commands_in, commands) = mpsc::channel(16);
        let (events, events_out) = mpsc::channel(256);
        let (snapshot, snapshot_out) = watch::channel(Snapshot::default());
        let (interrupts, interrupts_out) = mpsc::channel(4);
        let (keyboard, lines) = mpsc::channel(4);
        let mut lines = Some(lines);
        let (control, requests) = mpsc::channel(1);
        let outside = Outside {
            interrupts: interrupts_out,
            lines: Box::new(move || lines.take().unwrap_or_else(|| mpsc::channel(1).1)),
            requests,
        };
        let wires = Wires { commands: commands_in, events: events_out, snapshot: snapshot_out };
        let chosen = options.chosen.iter().copied().collect();
        let manner = Manner { duration: options.duration, chosen, hook: None, players: None };
        let running = tokio::spawn(run(goal, manner, book, screen, wires, outside));
        let keyboard = Some(keyboard);
        Self { commands, events, snapshot, interrupts, keyboard, control, out, err, profile, running, _dir: dir }
    }

    async fn tell(&self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            self.events.send(event).await.expect("still running");
        }
        // Time stands still, so this is long enough for everything that is not a timer.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    async fn asks(&self, request: Request) -> serde_json::Value {
        let (reply, replied) = tokio::sync::oneshot::channel();
        self.control.send(Asked { request, reply }).await.expect("still running");
        serde_json::from_str(&replied.await.expect("an answer").to_string()).expect("an object")
    }

    async fn typed(&self, line: &str) {
        self.keyboard.as_ref().expect("there").send(line.to_owned()).await.expect("read");
    }

    async fn wants(&mut self, what: &str) {
        let command = tokio::time::timeout(Duration::from_secs(3600), self.commands.recv()).await;
        let command = command.expect("in time").expect("still running");
        assert_eq!(format!("{command:?}").split([' ', '(']).next(), Some(what));
    }

    async fn wants_nothing(&mut self) {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert!(self.commands.try_recv().is_err());
    }

    /// The engine stops as it is told to; what did the command make of it?
    async fn exit(mut self) -> (Exit, String, String) {
        self.wants("Shutdown").await;
        self.tell([Event::Stopped]).await;
        let exit = self.running.await.expect("no panic");
        (exit, self.out.text(), self.err.text())
    }
}

fn dial(contact: Option<&str>) -> Goal {
    let dial = Dial { host: "alice".to_owned(), port: 8554, expected: None, weakest: None, purpose: Purpose::Call };
    Goal::Dial { dial, contact: contact.map(str::to_owned), glance: false }
}

const CHOSEN: Chosen = Chosen { carrier: Carrier::Quic, why: Why::First };

fn connected(peer: Fingerprint) -> Event {
    Event::Connected {
        peer,
        suite: Suite::X25519MlKem768,
        srtp: SrtpProfile::Aes256Gcm,
        purpose: Purpose::Call,
        chosen: CHOSEN,
    }
}

fn incoming(peer: Fingerprint, auto: bool) -> Event {
    Event::Incoming { peer, address: address(), purpose: Purpose::Call, auto }
}

fn ended(peer: Option<Fingerprint>, reason: EndReason) -> Event {
    Event::Ended { peer, reason, duration: Duration::from_secs(61) }
}

const THEY_HUNG_UP: EndReason = EndReason::HungUp { by_peer: true };

#[tokio::test(start_paused = true)]
async fn each_end_of_a_call_has_its_status() {
    for (reason, exit) in [
        (THEY_HUNG_UP, Exit::Ended),
        (EndReason::Declined, Exit::Declined),
        (EndReason::Busy, Exit::Busy),
        (EndReason::NoAnswer, Exit::NoAnswer),
        (EndReason::PeerLost, Exit::Lost),
        (EndReason::Unreachable, Exit::Unreachable),
        (EndReason::NotVisavis, Exit::NotVisavis),
        (EndReason::HandshakeTimeout, Exit::NotVisavis),
    ] {
        let mut scene = Scene::new(dial(None), Options::default());
        scene.wants("Dial").await;
        scene.tell([ended(None, reason.clone())]).await;
        assert_eq!(scene.exit().await.0, exit, "{reason:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_from_dial_to_hang_up() {
    let mut scene = Scene::new(dial(Some("Ana")), Options::default());
    scene.wants("Dial").await;
    scene
        .tell([
            Event::Listening { address: address(), reachable: vec![] },
            Event::Dialling { address: address(), chosen: CHOSEN },
            Event::Ringing { peer: key(1) },
            connected(key(1)),
            Event::PathChanged { path: Path::Udp(address()) },
        ])
        .await;
    let received = Flow { frames_per_second: 30.0, ..Flow::default() };
    scene.snapshot.send_replace(Snapshot { phase: Phase::Connected, received, ..Snapshot::default() });
    sleep(PLAIN_STATUS + Duration::from_secs(1)).await;
    scene.tell([ended(Some(key(1)), THEY_HUNG_UP)]).await;
    let (exit, out, err) = scene.exit().await;
    assert_eq!((exit, err.as_str()), (Exit::Ended, ""));
    insta::assert_snapshot!(out);
}

#[tokio::test(start_paused = true)]
async fn the_first_call_pins_the_key_and_asks_to_compare() {
    let mut scene = Scene::new(dial(Some("Ben")), Options::default());
    scene.wants("Dial").await;
    scene.tell([Event::Ringing { peer: key(2) }, connected(key(2))]).await;
    let ben = scene.profile.contacts().expect("read").named("ben").cloned().expect("there");
    assert_eq!((ben.key, ben.strongest, ben.verified), (Some(key(2)), Some(Suite::X25519MlKem768), false));
    scene.tell([ended(Some(key(2)), THEY_HUNG_UP)]).await;
    let out = scene.exit().await.1;
    assert!(out.contains("From now on Ben is whoever has the key"), "{out}");
}

#[tokio::test(start_paused = true)]
async fn what_to_read_aloud_waits_until_they_hear_each_other() {
    let mut desk = desk(Goal::Answer { once: false });
    desk.0.event(&incoming(key(5), true));
    desk.0.sas("1234 5678".to_owned());
    assert!(!desk.1.text().contains("1234"));
    desk.0.event(&connected(key(5)));
    assert!(desk.1.text().contains("Read this aloud: 1234 5678."), "{}", desk.1.text());
    // Whoever is verified need not do it again.
    desk.0.event(&ended(Some(key(5)), THEY_HUNG_UP));
    desk.0.event(&incoming(key(1), true));
    desk.0.sas("8765 4321".to_owned());
    desk.0.event(&connected(key(1)));
    assert!(!desk.1.text().contains("8765"), "{}", desk.1.text());
}

/// A desk without a loop around it.
fn desk(goal: Goal) -> (Desk, Tape, mpsc::Receiver<Command>, tempfile::TempDir) {
    let (dir, _, book) = book();
    let (screen, out, _) = screen(Style::Plain);
    let (commands, inbox) = mpsc::channel(16);
    (Desk::new(goal, Manner::default(), book, screen, commands), out, inbox, dir)
}

#[tokio::test(start_paused = true)]
async fn a_wrong_key_is_explained() {
    let mut scene = Scene::new(dial(Some("Ana")), Options::default());
    scene.wants("Dial").await;
    let fault = visavis_session::call::VerificationFault::Reported { code: "seal".to_owned() };
    scene.tell([ended(None, EndReason::Verification(fault))]).await;
    let (exit, _, err) = scene.exit().await;
    assert_eq!(exit, Exit::Verification);
    assert!(err.contains("not the Ana you know") && err.contains("contacts remove 'Ana'"), "{err}");
}

#[tokio::test(start_paused = true)]
async fn a_known_key_with_a_weaker_agreement_is_not_talked_to() {
    let mut scene = Scene::new(Goal::Answer { once: true }, Options::default());
    scene.tell([incoming(key(1), true)]).await;
    scene
        .tell([Event::Connected {
            peer: key(1),
            suite: Suite::X25519,
            srtp: SrtpProfile::Aes256Gcm,
            purpose: Purpose::Call,
            chosen: CHOSEN,
        }])
        .await;
    scene.wants("HangUp").await;
    scene.tell([ended(Some(key(1)), EndReason::HungUp { by_peer: false })]).await;
    let (exit, _, err) = scene.exit().await;
    assert_eq!(exit, Exit::Verification);
    assert!(err.contains("x25519-mlkem768 before and only on x25519 now"), "{err}");
}

#[tokio::test(start_paused = true)]
async fn a_call_is_answered_by_yes_and_by_nothing_else() {
    for (line, command) in
        [("y\n", "Accept"), (" YES", "Accept"), ("", "Decline"), ("n", "Decline"), ("yep", "Decline")]
    {
        let mut scene = Scene::new(Goal::Answer { once: false }, Options::default());
        scene.tell([incoming(key(1), false)]).await;
        scene.wants_nothing().await;
        scene.typed(line).await;
        scene.wants(command).await;
        // Asked once, answered once.
        scene.typed("y").await;
        scene.wants_nothing().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_missed_call_takes_the_question_with_it() {
    let mut scene =
        Scene::new(Goal::Answer { once: false }, Options { style: Some(Style::Terminal), ..Options::default() });
    scene.tell([incoming(key(5), false)]).await;
    assert!(scene.out.text().ends_with("Accept? [y/N] "), "{:?}", scene.out.text());
    scene.tell([ended(Some(key(5)), EndReason::Cancelled)]).await;
    scene.typed("y").await;
    scene.wants_nothing().await;
    let out = scene.out.text();
    assert!(out.contains("not one of your contacts calls from 192.0.2.7") && out.contains("Missed: "), "{out}");
    // Still there for the next one.
    scene.tell([incoming(key(1), false)]).await;
    scene.typed("y").await;
    scene.wants("Accept").await;
    scene.interrupts.send(()).await.expect("heard");
    assert_eq!(scene.exit().await.0, Exit::Ended);
}

#[tokio::test(start_paused = true)]
async fn without_anybody_to_answer_that_is_said() {
    let mut scene = Scene::new(Goal::Answer { once: true }, Options::default());
    scene.keyboard = None;
    scene.tell([incoming(key(1), false)]).await;
    scene.wants_nothing().await;
    scene.tell([ended(Some(key(1)), EndReason::NoAnswer)]).await;
    let (exit, out, _) = scene.exit().await;
    assert_eq!(exit, Exit::NoAnswer);
    assert!(out.contains("Nobody can answer"), "{out}");
}

#[tokio::test(start_paused = true)]
async fn answer_goes_on_after_a_call_unless_once() {
    let mut scene = Scene::new(Goal::Answer { once: false }, Options::default());
    for _ in 0..2 {
        scene.tell([incoming(key(1), true), connected(key(1)), ended(Some(key(1)), EndReason::PeerLost)]).await;
        scene.wants_nothing().await;
    }
    scene.interrupts.send(()).await.expect("heard");
    assert_eq!(scene.exit().await.0, Exit::Ended);

    let scene = Scene::new(Goal::Answer { once: true }, Options::default());
    scene.tell([incoming(key(1), true), connected(key(1)), ended(Some(key(1)), EndReason::PeerLost)]).await;
    assert_eq!(scene.exit().await.0, Exit::Lost);
}

#[tokio::test(start_paused = true)]
async fn interrupts_hang_up_and_then_force() {
    // Connected: the call has ended as its owner wished.
    let mut scene = Scene::new(dial(None), Options::default());
    scene.wants("Dial").await;
    scene.tell([connected(key(1))]).await;
    scene.interrupts.send(()).await.expect("heard");
    scene.wants("Shutdown").await;
    scene.tell([ended(Some(key(1)), EndReason::HungUp { by_peer: false }), Event::Stopped]).await;
    assert_eq!(scene.running.await.expect("no panic"), Exit::Ended);

    // Before anybody answered.
    let mut scene = Scene::new(dial(None), Options::default());
    scene.wants("Dial").await;
    scene.interrupts.send(()).await.expect("heard");
    scene.wants("Shutdown").await;
    scene.tell([ended(None, EndReason::Cancelled), Event::Stopped]).await;
    assert_eq!(scene.running.await.expect("no panic"), Exit::Interrupted);

    // Twice: nobody waits for the engine.
    let mut scene = Scene::new(dial(None), Options::default());
    scene.wants("Dial").await;
    scene.tell([connected(key(1))]).await;
    scene.interrupts.send(()).await.expect("heard");
    scene.interrupts.send(()).await.expect("heard");
    assert_eq!(scene.running.await.expect("no panic"), Exit::Interrupted);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_does_not_stop_is_left_behind() {
    let mut scene = Scene::new(Goal::Stream, Options::default());
    scene.interrupts.send(()).await.expect("heard");
    scene.wants("Shutdown").await;
    assert_eq!(scene.running.await.expect("no panic"), Exit::Ended);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_dies_is_a_failure() {
    let mut scene = Scene::new(Goal::Answer { once: false }, Options::default());
    scene.wants_nothing().await;
    drop(scene.events);
    assert_eq!(scene.running.await.expect("no panic"), Exit::Failed);
}

#[tokio::test(start_paused = true)]
async fn the_duration_counts_from_the_connection() {
    let options = || Options { duration: Some(Duration::from_secs(30)), ..Options::default() };
    let mut scene = Scene::new(dial(None), options());
    scene.wants("Dial").await;
    sleep(Duration::from_secs(40)).await;
    scene.tell([connected(key(1))]).await;
    sleep(Duration::from_secs(29)).await;
    scene.wants_nothing().await;
    sleep(Duration::from_secs(2)).await;
    scene.wants("HangUp").await;
    scene.tell([ended(Some(key(1)), EndReason::HungUp { by_peer: false })]).await;
    assert_eq!(scene.exit().await.0, Exit::Ended);

    let scene = Scene::new(Goal::Stream, options());
    sleep(Duration::from_secs(31)).await;
    assert_eq!(scene.exit().await.0, Exit::Ended);
}

#[tokio::test(start_paused = true)]
async fn a_named_device_that_does_not_start_ends_the_call() {
    let failed = || Event::DeviceFailed { role: "audio-source", error: "no microphone is called \"x\"".to_owned() };
    let mut scene = Scene::new(dial(None), Options { chosen: &["audio-source"], ..Options::default() });
    scene.wants("Dial").await;
    scene.tell([connected(key(1)), failed()]).await;
    scene.wants("HangUp").await;
    scene.tell([ended(Some(key(1)), EndReason::HungUp { by_peer: false })]).await;
    let (exit, _, err) = scene.exit().await;
    assert_eq!(exit, Exit::Device);
    assert!(err.contains("No microphone is called \"x\"."), "{err}");

    // One that breaks later, or that nobody asked for by name, does not.
    let started = Event::DeviceStarted { role: "audio-source", at: Duration::ZERO };
    let mut scene = Scene::new(dial(None), Options { chosen: &["audio-source"], ..Options::default() });
    scene.wants("Dial").await;
    scene.tell([connected(key(1)), started, failed()]).await;
    scene.wants_nothing().await;
    let mut scene = Scene::new(dial(None), Options::default());
    scene.wants("Dial").await;
    scene.tell([connected(key(1)), failed()]).await;
    scene.wants_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_program_reads_objects_and_gives_orders() {
    let json = || Options { style: Some(Style::Json), ..Options::default() };
    let mut scene = Scene::new(Goal::Answer { once: true }, json());
    scene.tell([incoming(key(1), false)]).await;
    for (line, command) in [("accept", "Accept"), ("decline", "Decline"), ("hangup", "HangUp")] {
        scene.typed(line).await;
        scene.wants(command).await;
    }
    scene.typed("dance").await;
    scene.wants_nothing().await;
    assert!(scene.err.text().contains("accept, decline, hangup, snapshot and quit"));
    sleep(Duration::from_millis(3500)).await;
    scene.typed("quit").await;
    let (exit, out, _) = scene.exit().await;
    assert_eq!(exit, Exit::Ended);
    let values: Vec<serde_json::Value> =
        out.lines().map(|line| serde_json::from_str(line).expect("an object per line")).collect();
    let kinds: Vec<&str> = values.iter().filter_map(|value| value["event"].as_str()).collect();
    assert_eq!(kinds, ["incoming", "status", "status", "status", "stopped"]);
    assert_eq!(values[0]["contact"], "Ana");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_goes_away_ends_the_call_quietly() {
    let mut scene = Scene::new(dial(None), Options::default());
    scene.wants("Dial").await;
    scene.tell([connected(key(1))]).await;
    scene.out.close();
    scene.tell([Event::Notice { text: "x".to_owned() }]).await;
    let (exit, _, err) = scene.exit().await;
    assert_eq!((exit, err.as_str()), (Exit::Ended, ""));
}

#[tokio::test(start_paused = true)]
async fn a_terminal_is_left_on_an_empty_line() {
    let mut scene = Scene::new(dial(None), Options { style: Some(Style::Terminal), ..Options::default() });
    scene.wants("Dial").await;
    scene.tell([connected(key(1))]).await;
    scene.snapshot.send_replace(Snapshot { phase: Phase::Connected, ..Snapshot::default() });
    sleep(Duration::from_millis(600)).await;
    assert!(scene.out.text().contains("\r\x1b[KAna · verified · 0:00"), "{:?}", scene.out.text());
    scene.interrupts.send(()).await.expect("heard");
    scene.wants("Shutdown").await;
    scene.tell([ended(Some(key(1)), EndReason::HungUp { by_peer: false }), Event::Stopped]).await;
    let out = scene.out.clone();
    scene.running.await.expect("no panic");
    let last = out.text().rsplit(['\n', '\r']).next().map(str::to_owned).expect("some");
    assert!(last.is_empty() || last == "\x1b[K", "{:?}", out.text());
    assert!(!out.text().contains("\x1b[?25l"), "the cursor is never hidden");
}

#[tokio::test(start_paused = true)]
async fn viewers_come_and_go() {
    let mut scene = Scene::new(Goal::Stream, Options::default());
    let watches = |peer| {
        let incoming = Event::Incoming { peer, address: address(), purpose: Purpose::Watch, auto: true };
        [
            incoming,
            Event::Connected {
                peer,
                suite: Suite::X25519MlKem768,
                srtp: SrtpProfile::Aes256Gcm,
                purpose: Purpose::Watch,
                chosen: CHOSEN,
            },
        ]
    };
    scene.tell(watches(key(1))).await;
    scene.tell(watches(key(2))).await;
    scene.tell([ended(Some(key(1)), THEY_HUNG_UP), ended(None, EndReason::PeerLost)]).await;
    scene.wants_nothing().await;
    let out = scene.out.text();
    assert!(out.contains("Ana · verified watches."), "{out}");
    assert!(out.contains("Ana · verified stopped watching after 1:01."), "{out}");
    scene.interrupts.send(()).await.expect("heard");
    assert_eq!(scene.exit().await.0, Exit::Ended);
}

#[tokio::test(start_paused = true)]
async fn a_program_elsewhere_answers_and_hangs_up() {
    let mut scene = Scene::new(Goal::Answer { once: true }, Options::default());
    assert_eq!(scene.asks(Request::Accept).await["error"], "nothing-rings");
    assert_eq!(scene.asks(Request::Hangup).await["error"], "no-call");
    scene.tell([Event::Listening { address: address(), reachable: vec![] }, incoming(key(1), false)]).await;
    let status = scene.asks(Request::Status).await;
    assert!(status["text"].as_str().expect("text").contains("Ana · verified calls: `visavis accept`"), "{status}");
    // However old the snapshot is.
    assert_eq!((status["phase"].as_str(), status["contact"].as_str()), (Some("ringing"), Some("Ana")));
    assert_eq!((status["command"].as_str(), status["listening"].as_str()), (Some("answer"), Some("192.0.2.7:8554")));
    assert_eq!(scene.asks(Request::Accept).await["ok"], true);
    scene.wants("Accept").await;
    scene.tell([connected(key(1))]).await;
    assert_eq!(scene.asks(Request::Decline).await["error"], "nothing-rings");
    assert_eq!(scene.asks(Request::Hangup).await["ok"], true);
    scene.wants("HangUp").await;
    scene.tell([ended(Some(key(1)), EndReason::HungUp { by_peer: false })]).await;
    assert_eq!(scene.asks(Request::Status).await["error"], "stopping");
    assert_eq!(scene.exit().await.0, Exit::Ended);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_muted_from_elsewhere_and_both_know() {
    let mut scene = Scene::new(dial(None), Options { style: Some(Style::Json), ..Options::default() });
    scene.wants("Dial").await;
    scene.tell([connected(key(1))]).await;
    let toggle = |source| Request::Mute { source, to: Switch::Toggle };
    for microphone in [true, false] {
        assert_eq!(scene.asks(toggle(Source::Microphone)).await["ok"], true);
        let command = scene.commands.recv().await.expect("still running");
        let expected = Command::Mute { kind: visavis_net::rtp::codec::MediaKind::Audio, muted: microphone };
        assert_eq!(format!("{command:?}"), format!("{expected:?}"));
        assert_eq!(scene.asks(Request::Status).await["muted"]["microphone"], microphone);
    }
    let peer_muted = Muted { microphone: false, camera: true };
    scene.snapshot.send_replace(Snapshot { phase: Phase::Connected, peer_muted, ..Snapshot::default() });
    sleep(Duration::from_secs(2)).await;
    scene.tell([ended(Some(key(1)), THEY_HUNG_UP)]).await;
    let out = scene.exit().await.1;
    let told = |event: &str| out.lines().filter(|line| line.contains(&format!("\"event\":\"{event}\""))).count();
    assert_eq!((told("muted"), told("peer-muted")), (2, 1), "{out}");
}

#[tokio::test(start_paused = true)]
async fn who_only_watches_has_nothing_to_mute() {
    let watch = Dial { host: "alice".to_owned(), port: 1, expected: None, weakest: None, purpose: Purpose::Watch };
    let mut scene = Scene::new(Goal::Dial { dial: watch, contact: None, glance: false }, Options::default());
    scene.wants("Dial").await;
    let mute = Request::Mute { source: Source::Camera, to: Switch::On };
    assert_eq!(scene.asks(mute).await["error"], "nothing-sent");
    scene.wants_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn viewers_are_sent_away_from_elsewhere() {
    let mut scene = Scene::new(Goal::Stream, Options::default());
    assert_eq!(scene.asks(Request::Hangup).await["error"], "no-call");
    let watches = Viewer { peer: key(1), connected_for: Duration::ZERO };
    scene.snapshot.send_replace(Snapshot { viewers: vec![watches, watches], ..Snapshot::default() });
    assert_eq!(scene.asks(Request::Hangup).await["ok"], true);
    scene.wants("HangUp").await;
    assert!(scene.asks(Request::Status).await["text"].as_str().expect("text").contains("2 viewers"));
    assert_eq!(scene.asks(Request::Status).await["watching"].as_array().map(Vec::len), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_status_knows_what_was_told_of_a_camera() {
    use crate::engine::watch::{Loss, Order, Seen};
    use visavis_session::camera::{Reason, RtspUrl};

    let (url, _) = RtspUrl::parse("rtsp://192.0.2.7/door").expect("a URL");
    let order =
        Order { url, credentials: None, in_clear: false, way: None, tls: None, ceiling: Duration::from_millis(400) };
    let mut scene = Scene::new(Goal::Camera { order, glance: false }, Options::default());
    scene.wants("Watch").await;
    let camera = Seen {
        url: "rtsp://192.0.2.7/door".to_owned(),
        address: "192.0.2.7:554".parse().expect("an address"),
        formats: Vec::new(),
        interleaved: true,
        secure: false,
        ceiling: Duration::from_millis(400),
    };
    // The snapshot is of before.
    scene.tell([Event::CameraPlays { camera, after: None }]).await;
    let status = scene.asks(Request::Status).await;
    assert!(status.to_string().contains("rtsp://192.0.2.7/door"), "{status}");
    assert!(status.to_string().contains("\"phase\":\"connected\""), "{status}");
    scene.tell([Event::CameraLost { loss: Loss::Said(Reason::Silent), again_in: Duration::from_secs(1) }]).await;
    let status = scene.asks(Request::Status).await;
    assert!(status.to_string().contains("waits for the camera"), "{status}");
    assert!(status.to_string().contains("\"phase\":\"reconnecting\""), "{status}");
    scene.interrupts.send(()).await.expect("still running");
    let (exit, _, _) = scene.exit().await;
    assert_eq!(exit, Exit::Ended);
}
