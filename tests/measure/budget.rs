//! Where each millisecond from mouth to ear goes: what the two sides say of their parts, against what was measured from outside.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::events::Events;
use super::spread::Spread;

/// Statuses, one a second, that are left out at the start: buffers settle.
const SETTLE: usize = 5;

/// A part of the way: what it is called, and whether it is the program's own or somebody else's.
const PARTS: [(&str, bool); 10] = [
    ("microphone: the sound system", false),
    ("microphone: until a frame is taken", true),
    ("one frame of Opus", true),
    ("what Opus looks ahead", true),
    ("encoded and sent", true),
    ("network", false),
    ("jitter buffer", true),
    ("decoded, stretched", true),
    ("until the loudspeaker takes it", true),
    ("loudspeaker: the sound system", false),
];

/// The parts of one direction, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// The median of each, in the order of the way.
    pub parts: Vec<(String, f64)>,
    /// What of them is the program's.
    pub ours: f64,
    /// All of them.
    pub sum: f64,
    /// What was measured from outside, less all of them.
    pub unexplained: Option<f64>,
    /// Captured sound that was lost, at the sender.
    pub overrun_ms: f64,
    /// Silence played for want of sound, at the player.
    pub underrun_ms: f64,
    /// Sound made up in place of packets that were not there.
    pub concealed_ms: f64,
}

impl Budget {
    /// What both sides said, against the `measured` median in milliseconds; `None` if either said nothing.
    #[must_use]
    pub fn of(sender: &Events, player: &Events, measured: Option<f64>) -> Option<Self> {
        let (sent, played) = (settled(&sender.sound)?, settled(&player.sound)?);
        let waiting = median(played, |it| Some(get(it, "jitter_buffer_ms") - get(it, "decoded_ms")));
        let round_trip = median(played, |it| it.get("round_trip_ms").copied());
        let times = [
            median(sent, |it| Some(get(it, "microphone_ms"))),
            median(sent, |it| Some(get(it, "framing_ms"))),
            median(sent, |it| Some(get(it, "frame_ms"))),
            median(sent, |it| Some(get(it, "codec_ms"))),
            median(sent, |it| Some(get(it, "sending_ms"))),
            round_trip / 2.0,
            waiting,
            median(played, |it| Some(get(it, "decoded_ms"))),
            median(played, |it| Some(get(it, "ring_ms"))),
            median(played, |it| Some(get(it, "loudspeaker_ms"))),
        ];
        let named = PARTS.into_iter().zip(times);
        let sum = times.iter().sum();
        let last = |statuses: &[BTreeMap<String, f64>], name| statuses.last().map_or(0.0, |it| get(it, name));
        Some(Self {
            parts: named.clone().map(|((name, _), time)| (name.to_owned(), time)).collect(),
            ours: named.filter(|((_, ours), _)| *ours).map(|(_, time)| time).sum(),
            sum,
            unexplained: measured.map(|measured| measured - sum),
            overrun_ms: last(sent, "overrun_ms"),
            underrun_ms: last(played, "underrun_ms"),
            concealed_ms: last(played, "concealed_ms"),
        })
    }
}

/// Budgets side by side, a line for each part.
#[must_use]
pub fn table(columns: &[(String, &Budget)]) -> String {
    let mut rows = vec![line("part", columns, |(name, _)| name.clone())];
    for (number, (name, ours)) in PARTS.into_iter().enumerate() {
        let name = if ours { format!("{name} *") } else { name.to_owned() };
        rows.push(line(&name, columns, |(_, it)| it.parts.get(number).map_or("-".to_owned(), |(_, ms)| one(*ms))));
    }
    rows.push(line("all parts", columns, |(_, it)| one(it.sum)));
    rows.push(line("of that ours, *", columns, |(_, it)| one(it.ours)));
    rows.push(line("not explained", columns, |(_, it)| it.unexplained.map_or("-".to_owned(), one)));
    rows.push(line("lost at the microphone", columns, |(_, it)| one(it.overrun_ms)));
    rows.push(line("silence for want of sound", columns, |(_, it)| one(it.underrun_ms)));
    rows.push(line("made up for want of packets", columns, |(_, it)| one(it.concealed_ms)));
    let widths: Vec<usize> = (0..=columns.len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn line<'a>(
    name: &str,
    columns: &[(String, &'a Budget)],
    cell: impl Fn(&(String, &'a Budget)) -> String,
) -> Vec<String> {
    [name.to_owned()].into_iter().chain(columns.iter().map(cell)).collect()
}

fn one(ms: f64) -> String {
    format!("{ms:.1}")
}

fn settled(statuses: &[BTreeMap<String, f64>]) -> Option<&[BTreeMap<String, f64>]> {
    statuses.get(SETTLE..).filter(|rest| !rest.is_empty())
}

fn get(status: &BTreeMap<String, f64>, name: &str) -> f64 {
    status.get(name).copied().unwrap_or(0.0)
}

fn median(statuses: &[BTreeMap<String, f64>], part: impl Fn(&BTreeMap<String, f64>) -> Option<f64>) -> f64 {
    Spread::of(statuses.iter().filter_map(part)).map_or(0.0, |spread| spread.median)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(parts: &[(&str, f64)]) -> Events {
        let status: BTreeMap<String, f64> = parts.iter().map(|(name, ms)| ((*name).to_owned(), *ms)).collect();
        let unsettled = BTreeMap::from([("ring_ms".to_owned(), 500.0), ("framing_ms".to_owned(), 500.0)]);
        let sound = std::iter::repeat_n(unsettled, SETTLE).chain(std::iter::repeat_n(status, 20)).collect();
        Events { sound, ..Events::default() }
    }

    #[test]
    fn parts_add_up_to_what_they_explain() {
        let sender = said(&[
            ("microphone_ms", 8.0),
            ("framing_ms", 1.0),
            ("frame_ms", 20.0),
            ("codec_ms", 6.5),
            ("sending_ms", 0.5),
        ]);
        let player = said(&[
            ("round_trip_ms", 0.4),
            ("jitter_buffer_ms", 12.0),
            ("decoded_ms", 4.0),
            ("ring_ms", 5.0),
            ("loudspeaker_ms", 15.0),
            ("underrun_ms", 10.0),
        ]);
        let budget = Budget::of(&sender, &player, Some(69.5)).expect("both said something");
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(close(budget.sum, 68.2) && close(budget.ours, 45.0), "{budget:?}");
        assert!(close(budget.unexplained.expect("measured"), 1.3) && close(budget.underrun_ms, 10.0), "{budget:?}");
        let text = table(&[("forth".to_owned(), &budget)]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 1 + PARTS.len() + 6, "{text}");
        assert!(lines[7].starts_with("jitter buffer *") && lines[7].ends_with("8.0"), "{text}");
        assert_eq!(Budget::of(&Events::default(), &player, None), None);
    }
}
