//! Measured runs as a table for people.

use serde::{Deserialize, Serialize};

use super::report::Report;
use super::spread::Spread;

/// A call over one kind of network, both directions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// What the network was like.
    pub name: String,
    /// From the caller to the called.
    pub forth: Option<Report>,
    /// From the called to the caller.
    pub back: Option<Report>,
    /// Why it is no result: the call was lost, or something could not be measured.
    #[serde(default)]
    pub failures: Vec<String>,
}

const TITLES: [&str; 12] = [
    "network",
    "way",
    "path",
    "PESQ-WB",
    "SSIM",
    "pictures/s",
    "frozen s",
    "jitter buffer",
    "mouth-to-ear",
    "capture-to-decoded",
    "lip-sync",
    "lost",
];

/// The whole table, a line for each direction, and below it what went wrong.
#[must_use]
pub fn table(runs: &[Run]) -> String {
    let mut rows = vec![TITLES.map(str::to_owned)];
    for run in runs {
        for (way, report) in [("forth", &run.forth), ("back", &run.back)] {
            rows.push(report.as_ref().map_or_else(|| empty(&run.name, way), |report| row(&run.name, way, report)));
        }
    }
    let widths: [usize; TITLES.len()] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text.push_str("delays in ms, median and in parentheses 95th percentile; lost: packets after repair, of all\n");
    for run in runs {
        for failure in &run.failures {
            text.push_str(&format!("FAILED {}: {failure}\n", run.name));
        }
    }
    text
}

fn empty(name: &str, way: &str) -> [String; TITLES.len()] {
    std::array::from_fn(|column| match column {
        0 => name.to_owned(),
        1 => way.to_owned(),
        _ => "-".to_owned(),
    })
}

fn row(name: &str, way: &str, report: &Report) -> [String; TITLES.len()] {
    let spread = |spread: Option<Spread>| {
        spread.map_or_else(|| "-".to_owned(), |spread| format!("{:.0} ({:.0})", spread.median, spread.p95))
    };
    let pictures = report.pictures.as_ref();
    let picture = |text: fn(&super::report::Pictures) -> String| pictures.map_or_else(|| "-".to_owned(), text);
    let lost = report.packets_lost.zip(report.packets).map(|(lost, packets)| format!("{lost}/{}", lost + packets));
    [
        name.to_owned(),
        way.to_owned(),
        report.carrier.clone().unwrap_or_else(|| "-".to_owned()),
        report.pesq.map_or_else(|| "-".to_owned(), |pesq| format!("{pesq:.2}")),
        picture(|it| it.ssim.map_or_else(|| "-".to_owned(), |ssim| format!("{:.3}", ssim.mean))),
        picture(|it| format!("{:.1}", it.per_second)),
        picture(|it| format!("{:.1}", it.frozen_seconds)),
        spread(report.jitter_buffer),
        spread(report.mouth_to_ear_speech.or(report.mouth_to_ear_clicks)),
        spread(pictures.and_then(|it| it.capture_to_decoded)),
        spread(report.lip_sync),
        lost.unwrap_or_else(|| "-".to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_figures_still_has_its_lines() {
        let report = Report { pesq: Some(4.2345), packets: Some(90), packets_lost: Some(10), ..Report::default() };
        let run = Run {
            name: "2 % loss".to_owned(),
            forth: Some(report),
            back: None,
            failures: vec!["the caller lost the call".to_owned()],
        };
        let text = table(&[run]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with("2 % loss  forth  -     4.23") && lines[1].ends_with("10/100"), "{text}");
        assert!(lines[2].starts_with("2 % loss  back   -     -"), "{text}");
        assert_eq!(lines[4], "FAILED 2 % loss: the caller lost the call");
    }
}
