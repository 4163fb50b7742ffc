//! Makes the files that a measured call sends, and measures what came out at the other end.
#![allow(clippy::print_stdout, reason = "a command line program")]

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Parser;
use serde_json::json;
use visavis_tests::measure::recording;
use visavis_tests::measure::report::{Files, Report, measure};
use visavis_tests::measure::sound::write_wav;
use visavis_tests::measure::table::{Run, table};
use visavis_tests::measure::{budget, prepare};

/// Measures calls from what a person would have heard and seen.
#[derive(Debug, Parser)]
#[command(name = "visavis-measure")]
enum Args {
    /// Write speech with pauses, and a click at seconds 0 and 7 of every 8.
    PrepareSpeech {
        /// Recordings: WAV files of 16 bits, mono, 48 kHz.
        #[arg(required = true)]
        recordings: Vec<PathBuf>,
        /// How much to write at least.
        #[arg(long, default_value_t = 64)]
        seconds: usize,
        /// The WAV file to write.
        #[arg(long)]
        out: PathBuf,
    },
    /// Write 8 seconds of a clip with a counter in each picture.
    PrepareClip {
        /// A Y4M file.
        clip: PathBuf,
        /// The Y4M file to write.
        #[arg(long)]
        out: PathBuf,
    },
    /// Measure one direction of a call.
    Report {
        #[command(flatten)]
        files: Box<Files>,
        /// Where to write the figures, as JSON.
        #[arg(long)]
        out: PathBuf,
        /// Where to write passages for the speech meter: PREFIX.N.sent.wav and PREFIX.N.heard.wav.
        #[arg(long)]
        passages: Option<PathBuf>,
    },
    /// Measure a recording of the synthetic scene; prints the figures as JSON.
    Recording {
        #[command(flatten)]
        parts: recording::Parts,
    },
    /// Print where the milliseconds go from mouth to ear, a column for each direction of each run.
    Budget {
        /// As for `table`.
        #[arg(required = true)]
        runs: Vec<PathBuf>,
    },
    /// Print the results of runs as a table; fails if a run did.
    Table {
        /// A directory for each run, with `name`, and `forth.json`, `back.json` and `failures` where there are such.
        #[arg(required = true)]
        runs: Vec<PathBuf>,
        /// Write it all as JSON, too.
        #[arg(long)]
        json: Option<PathBuf>,
    },
}

fn main() -> anyhow::Result<()> {
    match Args::parse() {
        Args::PrepareSpeech { recordings, seconds, out } => prepare::speech(&recordings, seconds, &out),
        Args::PrepareClip { clip, out } => prepare::clip(&clip, &out),
        Args::Report { files, out, passages } => report(&files, &out, passages.as_deref()),
        Args::Recording { parts } => {
            println!("{}", serde_json::to_string(&recording::measure(&parts)?)?);
            Ok(())
        }
        Args::Budget { runs } => print_budget(&runs),
        Args::Table { runs, json } => print_table(&runs, json.as_deref()),
    }
}

fn report(files: &Files, out: &Path, prefix: Option<&Path>) -> anyhow::Result<()> {
    let measured = measure(files)?;
    if let Some(prefix) = prefix {
        for (number, passage) in measured.passages.iter().enumerate() {
            write_wav(&append(prefix, &format!(".{number}.sent.wav")), &passage.sent)?;
            write_wav(&append(prefix, &format!(".{number}.heard.wav")), &passage.heard)?;
        }
    }
    write_json(out, &measured.report)
}

fn print_table(directories: &[PathBuf], out: Option<&Path>) -> anyhow::Result<()> {
    let runs: Vec<Run> = directories.iter().map(|directory| read_run(directory)).collect::<Result<_, _>>()?;
    print!("{}", table(&runs));
    if let Some(out) = out {
        write_json(out, &json!({ "runs": runs }))?;
    }
    let failed: Vec<&str> = runs.iter().filter(|run| !run.failures.is_empty()).map(|run| run.name.as_str()).collect();
    anyhow::ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

fn print_budget(directories: &[PathBuf]) -> anyhow::Result<()> {
    let runs: Vec<Run> = directories.iter().map(|directory| read_run(directory)).collect::<Result<_, _>>()?;
    let mut columns = Vec::new();
    for run in &runs {
        for (way, report) in [("forth", &run.forth), ("back", &run.back)] {
            let budget = report.as_ref().and_then(|report| report.budget.as_ref());
            columns.extend(budget.map(|budget| (format!("{}, {way}", run.name), budget)));
        }
    }
    anyhow::ensure!(!columns.is_empty(), "no run said where sound spends its time");
    print!("{}", budget::table(&columns));
    Ok(())
}

fn read_run(directory: &Path) -> anyhow::Result<Run> {
    let name =
        fs::read_to_string(directory.join("name")).with_context(|| format!("{} holds no run", directory.display()))?;
    let side = |file: &str| -> anyhow::Result<Option<Report>> {
        let path = directory.join(file);
        if !path.exists() {
            return Ok(None);
        }
        let file = BufReader::new(File::open(&path)?);
        serde_json::from_reader(file).map(Some).with_context(|| path.display().to_string())
    };
    let failures = fs::read_to_string(directory.join("failures")).unwrap_or_default();
    Ok(Run {
        name: name.trim().to_owned(),
        forth: side("forth.json")?,
        back: side("back.json")?,
        failures: failures.lines().map(str::to_owned).collect(),
    })
}

fn write_json(path: &Path, value: &impl serde::Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value)? + "\n";
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn append(prefix: &Path, suffix: &str) -> PathBuf {
    let mut name = prefix.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
