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
    if value.len() > MAX_LEN {
        return None;
    }
    let mut reader = Reader(value);
    let mut parts: Vec<Part<'_>> = Vec::new();
    let mut params = 0;
    loop {
        // Elements of a list may be empty (RFC 7230 §7).
        let comma = reader.skip(&[' ', '\t', ',']).contains(',');
        if reader.0.is_empty() {
            return Some(parts);
        }
        let name = reader.token()?;
        let spaced = !reader.space().is_empty();
        if reader.eat('=') {
            let part = parts.last_mut().filter(|part| part.token.is_none() && (comma || part.params.is_empty()))?;
            params += 1;
            if params > MAX_PARAMS {
                return None;
            }
            reader.space();
            part.add(name, reader.value()?)?;
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
        }
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
