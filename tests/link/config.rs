//! What a link does to packets, and how that is written on a command line.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How one direction of a link treats packets.
///
/// Written as words separated by commas or blanks, in any order, all optional; `clean` stands for none:
///
/// | word | meaning |
/// | --- | --- |
/// | `delay=50ms` | every packet takes this long |
/// | `jitter=20ms` | plus or minus up to this, evenly spread, drawn for each packet; packets may overtake |
/// | `order=keep` | jitter delays packets but never lets one overtake another |
/// | `loss=2%` | each packet is lost with this probability |
/// | `loss=6%/5` | this share is lost, always 5 in a row |
/// | `loss=6%/~5` | this share is lost, runs of random length, 5 on average (Gilbert–Elliott) |
/// | `duplicate=1%` | this share arrives twice |
/// | `reorder=1%:10ms` | this share is held back by so much more (10 ms if not said) |
/// | `rate=2Mbit` | what the link carries in a second (`kbit`, `Mbit`, `Gbit`) |
/// | `queue=100ms`, `queue=64KiB` | what may wait for its turn; what does not fit is dropped on arrival |
/// | `overhead=42` | bytes each packet takes on the link besides its own |
/// | `mtu=1400` | longer packets vanish without a word |
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkConfig {
    /// One-way delay.
    pub delay: Duration,
    /// Evenly spread around `delay`; never below zero delay.
    pub jitter: Duration,
    /// Whether jitter keeps packets in order, as a queue does. Otherwise each packet has its own delay, as with
    /// Linux' `netem`, and packets sent close together overtake one another.
    pub keep_order: bool,
    /// Which packets are lost on the way, after the queue.
    pub loss: Loss,
    /// Share of packets that arrive twice, 0 to 1.
    pub duplicate: f64,
    /// Share of packets that are held back by `reorder_by`, 0 to 1.
    pub reorder: f64,
    /// How long those are held back.
    pub reorder_by: Duration,
    /// Bottleneck rate; `None` is infinitely fast and has no queue.
    pub rate_bits_per_second: Option<u64>,
    /// Room before the bottleneck.
    pub queue: Queue,
    /// Bytes each packet costs besides its own.
    pub overhead: usize,
    /// Longest packet that passes, without `overhead`.
    pub mtu: Option<usize>,
}

/// Which packets are lost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Loss {
    /// None.
    #[default]
    None,
    /// Each with this probability, 0 to 1.
    Random(f64),
    /// Runs of exactly `length` packets, so often that `share` of all packets are lost in the long run.
    Bursts {
        /// 0 to 1.
        share: f64,
        /// Packets in a run, at least 1.
        length: u32,
    },
    /// Runs of random (geometric) length: a Gilbert–Elliott channel that loses nothing in its good state and
    /// everything in its bad one.
    Gilbert {
        /// 0 to 1.
        share: f64,
        /// Mean packets in a run, at least 1.
        mean_length: f64,
    },
}

/// How much may wait for the bottleneck.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Queue {
    /// As much as the bottleneck carries in this time.
    Time(Duration),
    /// This many bytes, overhead included.
    Bytes(u64),
}

impl Default for LinkConfig {
    /// A link that does nothing.
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            keep_order: false,
            loss: Loss::None,
            duplicate: 0.0,
            reorder: 0.0,
            reorder_by: Duration::from_millis(10),
            rate_bits_per_second: None,
            queue: Queue::Time(Duration::from_millis(100)),
            overhead: 0,
            mtu: None,
        }
    }
}

/// A word on the command line that describes no link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkConfigError {
    word: String,
    want: &'static str,
}

impl fmt::Display for LinkConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "“{}” does not describe a link: {}", self.word, self.want)
    }
}

impl std::error::Error for LinkConfigError {}

impl FromStr for LinkConfig {
    type Err = LinkConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut config = Self::default();
        for word in text.split([',', ' ']).filter(|word| !word.is_empty() && *word != "clean") {
            config.set(word).map_err(|want| LinkConfigError { word: word.to_owned(), want })?;
        }
        Ok(config)
    }
}

impl LinkConfig {
    fn set(&mut self, word: &str) -> Result<(), &'static str> {
        let (key, value) = word.split_once('=').ok_or("write name=value")?;
        match key {
            "delay" => self.delay = duration(value)?,
            "jitter" => self.jitter = duration(value)?,
            "order" if value == "keep" => self.keep_order = true,
            "order" if value == "free" => self.keep_order = false,
            "order" => return Err("order is keep or free"),
            "loss" => self.loss = loss(value)?,
            "duplicate" => self.duplicate = share(value)?,
            "reorder" => match value.split_once(':') {
                Some((part, by)) => (self.reorder, self.reorder_by) = (share(part)?, duration(by)?),
                None => self.reorder = share(value)?,
            },
            "rate" => self.rate_bits_per_second = Some(rate(value)?),
            "queue" => self.queue = queue(value)?,
            "overhead" => self.overhead = value.parse().map_err(|_| "overhead is a number of bytes")?,
            "mtu" => self.mtu = Some(value.parse().map_err(|_| "mtu is a number of bytes")?),
            _ => {
                return Err(
                    "the names are delay, jitter, order, loss, duplicate, reorder, rate, queue, overhead and mtu",
                );
            }
        }
        Ok(())
    }
}

impl fmt::Display for LinkConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = Self::default();
        let mut words = Vec::new();
        if self.delay != plain.delay {
            words.push(format!("delay={}", milliseconds(self.delay)));
        }
        if self.jitter != plain.jitter {
            words.push(format!("jitter={}", milliseconds(self.jitter)));
        }
        if self.keep_order {
            words.push("order=keep".to_owned());
        }
        match self.loss {
            Loss::None => {}
            Loss::Random(share) => words.push(format!("loss={}%", percent(share))),
            Loss::Bursts { share, length } => words.push(format!("loss={}%/{length}", percent(share))),
            Loss::Gilbert { share, mean_length } => words.push(format!("loss={}%/~{mean_length}", percent(share))),
        }
        if self.duplicate > 0.0 {
            words.push(format!("duplicate={}%", percent(self.duplicate)));
        }
        if self.reorder > 0.0 {
            words.push(format!("reorder={}%:{}", percent(self.reorder), milliseconds(self.reorder_by)));
        }
        if let Some(rate) = self.rate_bits_per_second {
            words.push(format!("rate={}kbit", rate as f64 / 1e3));
            words.push(match self.queue {
                Queue::Time(time) => format!("queue={}", milliseconds(time)),
                Queue::Bytes(bytes) => format!("queue={bytes}B"),
            });
        }
        if self.overhead > 0 {
            words.push(format!("overhead={}", self.overhead));
        }
        if let Some(mtu) = self.mtu {
            words.push(format!("mtu={mtu}"));
        }
        if words.is_empty() {
            words.push("clean".to_owned());
        }
        f.write_str(&words.join(","))
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{}ms", time.as_nanos() as f64 / 1e6)
}

/// Rounded to what a reader would write, so that 0.06 does not print as 6.000000000000001.
fn percent(share: f64) -> f64 {
    (share * 1e8).round() / 1e6
}

fn number(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0)
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    const WANT: &str = "a time is written 20ms, 500us or 1.5s";
    let (digits, unit) = split_unit(text);
    let scale = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        _ => return Err(WANT),
    };
    // An hour is longer than any link worth modelling and keeps all sums far from overflow.
    number(digits).map(|n| n * scale).filter(|s| *s <= 3600.0).map(Duration::from_secs_f64).ok_or(WANT)
}

fn share(text: &str) -> Result<f64, &'static str> {
    let digits = text.strip_suffix('%').ok_or("a share is written 2%")?;
    number(digits).map(|n| n / 100.0).filter(|n| *n <= 1.0).ok_or("a share is 0% to 100%")
}

fn loss(text: &str) -> Result<Loss, &'static str> {
    let Some((part, length)) = text.split_once('/') else {
        return Ok(Loss::Random(share(text)?));
    };
    let share = share(part)?;
    if let Some(mean) = length.strip_prefix('~') {
        let mean_length = number(mean).filter(|n| *n >= 1.0).ok_or("a mean run is 1 packet or more")?;
        return Ok(Loss::Gilbert { share, mean_length });
    }
    let length = length.parse().ok().filter(|n| *n >= 1).ok_or("a run is a whole number of packets")?;
    Ok(Loss::Bursts { share, length })
}

fn rate(text: &str) -> Result<u64, &'static str> {
    const WANT: &str = "a rate is written 300kbit, 2Mbit or 1Gbit";
    let (digits, unit) = split_unit(text);
    let scale = match unit {
        "kbit" => 1e3,
        "Mbit" => 1e6,
        "Gbit" => 1e9,
        _ => return Err(WANT),
    };
    number(digits).map(|n| n * scale).filter(|n| (1.0..=1e12).contains(n)).map(|n| n as u64).ok_or(WANT)
}

fn queue(text: &str) -> Result<Queue, &'static str> {
    const WANT: &str = "a queue is written 100ms, 64KiB or 65536B";
    let (digits, unit) = split_unit(text);
    let scale = match unit {
        "B" => 1.0,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        _ => return duration(text).map(Queue::Time).map_err(|_| WANT),
    };
    number(digits).map(|n| Queue::Bytes((n * scale).min(1e12) as u64)).ok_or(WANT)
}

fn split_unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text.split_at(end)
}
