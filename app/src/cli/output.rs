//! The one module that writes to the terminal: lines that stay, and one line at the bottom that does not.
//!
//! The cursor is never hidden and the terminal's modes are never changed, so that nothing needs to be put back when
//! the process is killed. A reader that goes away (`visavis … | head -1`) is no error: see [`Screen::is_broken`].

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tracing_subscriber::fmt::MakeWriter;

use crate::address::visible;

/// How things are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// To a person: lines, and a status line that is written over.
    Terminal,
    /// To a file or a pipe: lines.
    Plain,
    /// To the journal: the same, but for lines that only say how it goes.
    Journal,
    /// To a program: one JSON object per line, nothing else.
    Json,
}

impl Style {
    /// What fits the standard output of this process.
    pub(crate) fn detect(json: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        match json {
            true => Self::Json,
            false if io::stdout().is_terminal() && !dumb => Self::Terminal,
            false if is_journal() => Self::Journal,
            false => Self::Plain,
        }
    }
}

/// Whether standard output goes to systemd's journal. The environment says which file that is (systemd.exec(5)), for it is
/// handed on to programs whose output goes elsewhere.
fn is_journal() -> bool {
    #[cfg(unix)]
    return rustix::fs::fstat(io::stdout()).is_ok_and(|it| {
        std::env::var("JOURNAL_STREAM").is_ok_and(|stream| stream == format!("{}:{}", it.st_dev, it.st_ino))
    });
    #[cfg(not(unix))]
    false
}

/// A handle on standard output and error; clones share them.
#[derive(Clone)]
pub(crate) struct Screen {
    inner: Arc<Mutex<Inner>>,
    log: Arc<Mutex<Log>>,
    style: Style,
}

/// Log messages that are not written yet.
#[derive(Default)]
struct Log {
    /// At most [`MAX_LOG`]; those that find it full are counted instead.
    messages: VecDeque<Vec<u8>>,
    lost: usize,
}

/// Some hundred kilobytes.
const MAX_LOG: usize = 1000;

struct Inner {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    /// Where the objects for programs go beside all this.
    record: Option<Box<dyn Write + Send>>,
    /// Whether standard error shows up on the same terminal as the line at the bottom.
    shared: bool,
    style: Style,
    /// What stands in the last line of the terminal now.
    bottom: Option<String>,
    broken: bool,
}

/// Start of the line, and clear it to its end. ECMA-48 §8.3.41.
const CLEAR_LINE: &str = "\r\x1b[K";

impl Screen {
    /// The screen of this process.
    pub(crate) fn standard(style: Style) -> Self {
        Self::new(style, Box::new(io::stdout()), Box::new(io::stderr()), io::stderr().is_terminal())
    }

    pub(crate) fn new(style: Style, out: Box<dyn Write + Send>, err: Box<dyn Write + Send>, shared: bool) -> Self {
        let inner = Inner { out, err, record: None, shared, style, bottom: None, broken: false };
        Self { inner: Arc::new(Mutex::new(inner)), log: Arc::default(), style }
    }

    /// Has every object for programs written to `record` as well, whatever the style.
    pub(crate) fn record(&self, record: Box<dyn Write + Send>) {
        self.lock().record = Some(record);
    }

    /// How it shows things.
    pub(crate) fn style(&self) -> Style {
        self.style
    }

    /// Whether it is read by a program.
    pub(crate) fn is_for_programs(&self) -> bool {
        self.style == Style::Json
    }

    /// Whether nobody reads standard output any more.
    pub(crate) fn is_broken(&self) -> bool {
        self.lock().broken
    }

    /// Columns of the terminal.
    pub(crate) fn width(&self) -> usize {
        const USUAL: usize = 80;
        #[cfg(unix)]
        let columns = rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_col));
        #[cfg(not(unix))]
        let columns = 0;
        if columns == 0 { USUAL } else { columns }
    }

    /// A line for a person; a program gets [`Screen::json`] instead.
    pub(crate) fn line(&self, text: &str) {
        if self.style != Style::Json {
            self.lock().out_line(&shown(text));
        }
    }

    /// An object for a program; a person gets [`Screen::line`] instead.
    pub(crate) fn json(&self, value: &Value) {
        let mut inner = self.lock();
        inner.note(value);
        if self.style == Style::Json {
            inner.out_line(&value.to_string());
        }
    }

    /// A whole text of ours as it is, in every style: it is made to be kept in a file.
    pub(crate) fn raw(&self, text: &str) {
        self.lock().draw(text);
    }

    /// What went wrong, on standard error in every style.
    pub(crate) fn error(&self, text: &str) {
        self.lock().err_bytes(format!("visavis: {}\n", shown(text)).as_bytes());
    }

    /// Shows something in the last line of a terminal until something else is shown there. Elsewhere, nothing.
    pub(crate) fn bottom(&self, text: &str) {
        if self.style == Style::Terminal {
            let (mut inner, text) = (self.lock(), shown(text));
            if inner.bottom.as_deref() != Some(text.as_ref()) {
                inner.bottom = Some(text.clone().into_owned());
                inner.draw(&format!("{CLEAR_LINE}{text}"));
            }
        }
    }

    /// Clears the last line.
    pub(crate) fn clear(&self) {
        let mut inner = self.lock();
        if inner.bottom.take().is_some() {
            inner.draw(CLEAR_LINE);
        }
    }

    /// The person ended the last line with the return key: what stands there scrolls away.
    pub(crate) fn entered(&self) {
        self.lock().bottom = None;
    }

    /// A bell, if somebody is there to hear it.
    pub(crate) fn ring(&self) {
        if self.style == Style::Terminal {
            self.lock().draw("\x07");
        }
    }

    /// Writes what was logged meanwhile.
    pub(crate) fn write_log(&self) {
        drop(self.lock());
    }

    /// Takes the terminal, and writes what was logged before that.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Log { messages, lost } = std::mem::take(&mut *self.log.lock().unwrap_or_else(PoisonError::into_inner));
        for message in messages {
            inner.err_bytes(&message);
        }
        if lost > 0 {
            inner.err_bytes(format!("visavis: {lost} log messages were lost here\n").as_bytes());
        }
        inner
    }
}

impl Inner {
    fn note(&mut self, value: &Value) {
        let Some(record) = &mut self.record else { return };
        // One write for a line: who follows the file sees whole ones.
        if let Err(e) = record.write_all(format!("{value}\n").as_bytes()) {
            // It is said once; the call goes on.
            self.record = None;
            let _ = writeln!(self.err, "visavis: cannot write the events: {e}");
        }
    }

    fn out_line(&mut self, text: &str) {
        // One write for everything: lines of several threads or processes do not mix.
        match &self.bottom {
            Some(bottom) => self.draw(&format!("{CLEAR_LINE}{text}\n{bottom}")),
            None => self.draw(&format!("{text}\n")),
        }
    }

    fn draw(&mut self, text: &str) {
        if self.broken {
            return;
        }
        if let Err(e) = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()) {
            self.broken = true;
            if e.kind() != io::ErrorKind::BrokenPipe {
                // A full disk, most likely. It is said once.
                let _ = writeln!(self.err, "visavis: cannot write the output: {e}");
            }
        }
    }

    fn err_bytes(&mut self, bytes: &[u8]) {
        let covers = self.shared && self.style == Style::Terminal && self.bottom.is_some();
        if covers {
            self.draw(CLEAR_LINE);
        }
        let _ = self.err.write_all(bytes);
        if let (true, Some(bottom)) = (covers, self.bottom.clone()) {
            self.draw(&bottom);
        }
    }
}

/// What stands in a text of other people's making must not steer the terminal. Lines may have ends.
fn shown(text: &str) -> Cow<'_, str> {
    let safe = |c| c == '\n' || visible(c) == c;
    if text.chars().all(safe) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if c == '\n' { c } else { visible(c) }).collect())
}

/// Logs go to standard error without tearing the status line apart, and when it suits whoever writes to the terminal: a
/// terminal that was told to wait (Ctrl-S) must not hold up the thread that had something to log.
impl<'a> MakeWriter<'a> for Screen {
    type Writer = LogWriter;

    fn make_writer(&'a self) -> LogWriter {
        LogWriter { screen: self.clone(), line: Vec::new() }
    }
}

/// Collects one log message.
pub(crate) struct LogWriter {
    screen: Screen,
    line: Vec<u8>,
}

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        let mut log = self.screen.log.lock().unwrap_or_else(PoisonError::into_inner);
        if log.messages.len() < MAX_LOG {
            log.messages.push_back(std::mem::take(&mut self.line));
        } else {
            log.lost += 1;
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A stream whose content can be looked at, and that can be closed by its reader.
    #[derive(Clone, Default)]
    pub(crate) struct Tape(Arc<Mutex<(String, bool)>>);

    impl Tape {
        pub(crate) fn text(&self) -> String {
            self.0.lock().expect("not poisoned").0.clone()
        }

        pub(crate) fn close(&self) {
            self.0.lock().expect("not poisoned").1 = true;
        }
    }

    impl Write for Tape {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut tape = self.0.lock().expect("not poisoned");
            if tape.1 {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            tape.0.push_str(std::str::from_utf8(bytes).expect("whole characters"));
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    pub(crate) fn screen(style: Style) -> (Screen, Tape, Tape) {
        let (out, err) = (Tape::default(), Tape::default());
        (Screen::new(style, Box::new(out.clone()), Box::new(err.clone()), true), out, err)
    }

    #[test]
    fn lines_pass_above_the_status() {
        let (screen, out, err) = screen(Style::Terminal);
        screen.bottom("status 1");
        screen.bottom("status 1");
        screen.line("news");
        screen.error("oh");
        screen.clear();
        screen.clear();
        screen.line("end");
        let c = CLEAR_LINE;
        assert_eq!(out.text(), format!("{c}status 1{c}news\nstatus 1{c}status 1{c}end\n"));
        assert_eq!(err.text(), "visavis: oh\n");
    }

    #[test]
    fn a_pipe_gets_no_control_characters() {
        let (screen, out, _) = screen(Style::Plain);
        screen.bottom("status");
        screen.ring();
        screen.line("news");
        screen.json(&Value::Null);
        screen.clear();
        assert_eq!(out.text(), "news\n");
    }

    #[test]
    fn a_program_gets_objects_only() {
        let (screen, out, err) = screen(Style::Json);
        screen.bottom("status");
        screen.line("news");
        screen.json(&serde_json::json!({"event": "x"}));
        screen.error("oh");
        assert_eq!((out.text().as_str(), err.text().as_str()), ("{\"event\":\"x\"}\n", "visavis: oh\n"));
    }

    #[test]
    fn a_reader_that_went_away_is_noticed_and_not_complained_about() {
        let (screen, out, err) = screen(Style::Plain);
        screen.line("one");
        assert!(!screen.is_broken());
        out.close();
        screen.line("two");
        assert!(screen.is_broken());
        assert_eq!((out.text().as_str(), err.text().as_str()), ("one\n", ""));
    }

    #[test]
    fn a_log_message_is_written_in_one_piece() {
        let (screen, out, err) = screen(Style::Terminal);
        screen.bottom("status");
        let mut writer = screen.make_writer();
        write!(writer, "half ").expect("memory");
        assert_eq!(err.text(), "");
        writeln!(writer, "and half").expect("memory");
        drop(writer);
        screen.write_log();
        assert_eq!(err.text(), "half and half\n");
        assert!(out.text().ends_with(&format!("{CLEAR_LINE}status")));
    }

    #[test]
    fn a_terminal_that_stands_still_holds_up_nobody_who_logs() {
        let (screen, _, err) = screen(Style::Terminal);
        let busy = screen.lock();
        for _ in 0..MAX_LOG + 2 {
            write!(screen.make_writer(), "x").expect("memory");
        }
        drop(busy);
        screen.write_log();
        assert_eq!(err.text(), format!("{}visavis: 2 log messages were lost here\n", "x".repeat(MAX_LOG)));
    }

    #[test]
    fn nobody_steers_the_terminal_from_afar() {
        let (screen, out, err) = screen(Style::Terminal);
        let text = "version \x1b[2J\x07\u{9b}1m\r\u{202e}evil";
        screen.line(text);
        screen.error(text);
        screen.bottom(text);
        let shown = "version \u{fffd}[2J\u{fffd}\u{fffd}1m\u{fffd}\u{fffd}evil";
        assert_eq!(out.text(), format!("{shown}\n{CLEAR_LINE}{shown}"));
        assert_eq!(err.text(), format!("visavis: {shown}\n"));
    }
}
