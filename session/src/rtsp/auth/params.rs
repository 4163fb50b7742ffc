//! The grammar that `WWW-Authenticate` and `Authorization` share (RFC 7235 §2.1): a scheme, and a token or parameters.
//!
//! A header may hold several challenges, and the grammar crate joins headers of one name with commas.

use std::borrow::Cow;

/// The longest value that is read.
pub(super) const MAX_LEN: usize = 2048;
/// The most parameters in one value, those of all its challenges.
pub(super) const MAX_PARAMS: usize = 24;
/// The most challenges in one value.
const MAX_PARTS: usize = 8;

/// One challenge, or one set of credentials.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub scheme: &'a str,
    /// What follows the scheme if that is no list of parameters (token68).
    pub token: Option<&'a str>,
    params: Vec<(&'a str, Cow<'a, str>)>,
}

impl<'a> Part<'a> {
    pub(super) fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// A parameter's value without its quotation marks.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.params.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_ref())
    }

    /// `None` for a second value of one name: who reads the first and who reads the last would disagree.
    fn add(&mut self, name: &'a str, value: Cow<'a, str>) -> Option<()> {
        if self.get(name).is_some() {
            return None;
        }
        self.params.push((name, value));
        Some(())
    }
}

/// Reads a header's value; `None` if it breaks the grammar or a bound.
pub(super) fn read(value: &str) -> Option<Vec<Part<'_>>> {
    let mut list = List::new(value)?;
    while list.element()? {}
    Some(list.parts)
}

/// Reads those parts of a header's value that can be read, and passes over the others; whether there were any of these.
pub(super) fn read_good(value: &str) -> (Vec<Part<'_>>, bool) {
    let Some(mut list) = List::new(value) else { return (Vec::new(), true) };
    let mut all_good = true;
    loop {
        match list.element() {
            Some(true) => {}
            Some(false) => return (list.parts, !all_good),
            None => {
                all_good = false;
                list.pass_over();
            }
        }
    }
}

/// A header's value, as far as it was read.
struct List<'a> {
    reader: Reader<'a>,
    parts: Vec<Part<'a>>,
    params: usize,
    /// Whether what comes is of a part that was passed over.
    passing: bool,
}

impl<'a> List<'a> {
    fn new(value: &'a str) -> Option<Self> {
        let list = Self { reader: Reader(value), parts: Vec::new(), params: 0, passing: false };
        (value.len() <= MAX_LEN).then_some(list)
    }

    /// Reads the next element, a scheme or a parameter; `Some(false)` at the end, `None` if it breaks the grammar or a bound.
    fn element(&mut self) -> Option<bool> {
        let Self { reader, parts, params, passing } = self;
        // Elements of a list may be empty (RFC 7230 §7).
        let comma = reader.skip(&[' ', '\t', ',']).contains(',');
        if reader.0.is_empty() {
            return Some(false);
        }
        let name = reader.token()?;
        let spaced = !reader.space().is_empty();
        if reader.eat('=') {
            let part = parts.last_mut().filter(|part| part.token.is_none() && (comma || part.params.is_empty()));
            let part = if *passing { None } else { Some(part?) };
            *params += 1;
            if *params > MAX_PARAMS {
                return None;
            }
            reader.space();
            let value = reader.value()?;
            if let Some(part) = part {
                part.add(name, value)?;
            }
            reader.space();
            if !reader.at_end() {
                return None;
            }
        } else {
            let apart = comma || parts.is_empty();
            if !apart || !(spaced || reader.at_end()) || parts.len() == MAX_PARTS {
                return None;
            }
            parts.push(Part { scheme: name, token: reader.token68(), params: Vec::new() });
            *passing = false;
        }
        Some(true)
    }

    /// Drops the part that the last element was of, and goes on with the next element.
    fn pass_over(&mut self) {
        if !std::mem::replace(&mut self.passing, true) {
            self.parts.pop();
        }
        let rest = self.reader.0.find(',').unwrap_or(self.reader.0.len());
        self.reader.take(rest);
    }
}

/// Text as a quoted string; it must hold no control characters.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// What is left to read.
struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> &'a str {
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        taken
    }

    fn skip(&mut self, characters: &[char]) -> &'a str {
        self.take(self.0.len() - self.0.trim_start_matches(characters).len())
    }

    fn space(&mut self) -> &'a str {
        self.skip(&[' ', '\t'])
    }

    fn eat(&mut self, character: char) -> bool {
        self.0.strip_prefix(character).map(|rest| self.0 = rest).is_some()
    }

    /// At the end of an element of the list.
    fn at_end(&self) -> bool {
        self.0.is_empty() || self.0.starts_with(',')
    }

    fn token(&mut self) -> Option<&'a str> {
        let len = self.0.find(|character| !is_token(character)).unwrap_or(self.0.len());
        (len > 0).then(|| self.take(len))
    }

    fn token68(&mut self) -> Option<&'a str> {
        let element = self.0.split(',').next().unwrap_or_default();
        let token = element.trim_end_matches([' ', '\t']);
        let letters = token.trim_end_matches('=');
        let fits = |character: char| character.is_ascii_alphanumeric() || "-._~+/".contains(character);
        let is_one = !letters.is_empty() && letters.chars().all(fits);
        is_one.then(|| {
            self.take(element.len());
            token
        })
    }

    fn value(&mut self) -> Option<Cow<'a, str>> {
        if !self.eat('"') {
            return self.token().map(Cow::Borrowed);
        }
        let mut unescaped = String::new();
        loop {
            let len = self.0.find(|character| matches!(character, '"' | '\\') || is_control(character))?;
            let plain = self.take(len);
            if self.eat('"') {
                return Some(if unescaped.is_empty() { Cow::Borrowed(plain) } else { Cow::Owned(unescaped + plain) });
            }
            if !self.eat('\\') {
                return None;
            }
            let escaped = self.0.chars().next().filter(|character| !is_control(*character))?;
            unescaped.push_str(plain);
            unescaped.push_str(self.take(escaped.len_utf8()));
        }
    }
}

/// RFC 7230 §3.2.6.
fn is_token(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(character)
}

/// Other than the tab, which may be quoted.
fn is_control(character: char) -> bool {
    character.is_control() && character != '\t'
}
