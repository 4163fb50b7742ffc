//! The dialogues in `docs/protocol.md` are what two calls really said.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use super::*;

/// Everything said, in the order in which it crossed, before it was sealed.
fn transcript(pair: &Pair) -> String {
    let mut text = String::new();
    let mut next = [0, 0];
    for (from, channel, _) in &pair.crossed {
        let (arrow, end, next) = match from {
            Side::A => ("A → B", &pair.a, &mut next[0]),
            Side::B => ("B → A", &pair.b, &mut next[1]),
        };
        let (said_on, sealed, message) = &end.call.outbox.said[*next];
        *next += 1;
        assert_eq!(said_on, channel);
        let how = if *sealed { "sealed" } else { "plain" };
        let on = match channel {
            Channel::Primary => "",
            Channel::Back => ", second connection",
            Channel::Next => ", new connection",
        };
        let _ = writeln!(text, "--- {arrow} ({how}{on}, {} bytes)", message.len());
        let message = String::from_utf8(message.clone()).expect("text");
        for line in message.trim_end().replace('\r', "").lines() {
            let _ = writeln!(text, "{}", shortened(line));
        }
    }
    text
}

/// Shows the beginning of values that say nothing to a reader.
fn shortened(line: &str) -> String {
    let words = line.split(' ').map(|word| {
        let (value, tail) = word.strip_suffix(',').map_or((word, ""), |value| (value, ","));
        let (key, base64) =
            value.split_once('=').filter(|(key, _)| key.parse::<Suite>().is_ok()).unwrap_or(("", value));
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
        let shown = if base64.len() >= 44 && base64.chars().all(plain) {
            format!("{}…[{}]", &base64[..12], base64.len())
        } else {
            base64.to_owned()
        };
        if key.is_empty() { format!("{shown}{tail}") } else { format!("{key}={shown}{tail}") }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn calls() -> [(&'static str, String); 5] {
    let mut pair = Pair::new(Setup::default());
    pair.pass(Duration::from_millis(900));
    pair.act(Side::B, Call::accept);
    pair.pass(Duration::from_millis(1500));
    pair.act(Side::A, Call::hang_up);
    pair.pass(Duration::from_millis(100));
    let call = transcript(&pair);

    let mut setup = Setup::default();
    setup.caller.suites = Suite::ALL.to_vec();
    setup.called.suites = vec![Suite::Modp2048];
    setup.admission = Some(Admission::Busy);
    let mut pair = Pair::new(setup);
    pair.pass(Duration::from_millis(900));
    let retry = transcript(&pair);

    let mut setup = Setup { admission: Some(Admission::Accept), ..Setup::default() };
    setup.caller.separate_channels = true;
    let mut pair = Pair::new(setup);
    pair.pass(Duration::from_millis(900));
    let on_back = |part: &&str| part.contains("second connection");
    let parts = transcript(&pair);
    let parts = parts.split("--- ").filter(on_back).map(|part| format!("--- {part}"));

    let mut pair = Pair::new(Setup { exported: Some([exported(7), exported(7)]), ..Setup::default() });
    pair.pass(Duration::from_millis(900));
    pair.act(Side::B, Call::accept);
    pair.pass(Duration::from_millis(1500));
    pair.act(Side::B, Call::hang_up);
    pair.pass(Duration::from_millis(100));
    let quic = transcript(&pair).replace("second connection", "B's stream");

    let mut pair = Pair::active(Setup::default());
    let before = transcript(&pair).len();
    pair.reconnect(Side::A, None);
    pair.pass(Duration::from_millis(900));
    let resume = transcript(&pair)[before..].to_owned();
    [("call", call), ("retry", retry), ("second connection", parts.collect()), ("quic", quic), ("resume", resume)]
}

/// Set `VISAVIS_WRITE_DOCS` to bring the document up to date, and read what changed.
#[test]
fn the_documented_dialogues_are_real() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol.md");
    let mut document = std::fs::read_to_string(&path).expect("docs/protocol.md is there");
    let written = document.clone();
    for (name, dialogue) in calls() {
        let begin = format!("<!-- dialogue: {name} -->\n");
        let from = document.find(&begin).expect("the dialogue has its place") + begin.len();
        let to = from + document[from..].find("<!-- end -->").expect("the dialogue has an end");
        document.replace_range(from..to, &format!("```text\n{dialogue}```\n"));
    }
    if std::env::var_os("VISAVIS_WRITE_DOCS").is_some() {
        std::fs::write(&path, &document).expect("docs/protocol.md can be written");
    } else {
        assert!(document == written, "run with VISAVIS_WRITE_DOCS=1 and look at what changed in docs/protocol.md");
    }
}

#[test]
fn the_document_names_every_header() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol.md");
    let document = std::fs::read_to_string(path).expect("docs/protocol.md is there");
    for source in [include_str!("../../rtsp/message.rs"), include_str!("../../handshake.rs")] {
        // Every quoted name of a header, and every quoted word for a fault.
        for quoted in source.split('"').skip(1).step_by(2) {
            let word = quoted.contains('-') && quoted.chars().all(|c| c.is_ascii_lowercase() || c == '-');
            if (quoted.starts_with("Visavis-") || word) && !quoted.contains(' ') {
                assert!(document.contains(&format!("`{quoted}`")), "{quoted} is not in docs/protocol.md");
            }
        }
    }
}
