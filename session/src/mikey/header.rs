//! Where RTSP has the messages: the `KeyMgmt` header, and `a=key-mgmt` in a description. RFC 4567 §3.1, §3.2.

use data_encoding::BASE64;
use zeroize::Zeroizing;

use super::{CryptoSession, Given, KeyFault, MAX_MESSAGE, Message, parse};
use crate::base64;

/// Protocols looked at in one header.
const MAX_SPECS: usize = 4;
/// Parameters looked at of one protocol.
const MAX_PARAMETERS: usize = 8;

/// Reads the header of a request: what its first MIKEY message gives.
///
/// # Errors
/// There is none, or it gives no key that can be used.
pub fn read(value: &str) -> Result<Given, KeyFault> {
    for spec in split(value, ',').take(MAX_SPECS) {
        let mut data = None;
        let mut is_mikey = false;
        for parameter in split(spec, ';').take(MAX_PARAMETERS) {
            let Some((name, value)) = parameter.split_once('=') else { continue };
            let value = value.trim().trim_matches('"');
            match name.trim() {
                name if name.eq_ignore_ascii_case("prot") => is_mikey = value.eq_ignore_ascii_case("mikey"),
                name if name.eq_ignore_ascii_case("data") => data = Some(value),
                // The URI is that of the request, or of somebody who errs.
                _ => {}
            }
        }
        if is_mikey {
            let data = data.ok_or(KeyFault::Base64)?;
            if data.len() > BASE64.encode_len(MAX_MESSAGE) {
                return Err(KeyFault::TooLong);
            }
            return parse(&base64::decode_all(data).ok_or(KeyFault::Base64)?);
        }
    }
    Err(KeyFault::Protocol)
}

/// The header of an answer about the stream at `url`.
pub(crate) fn write(message: &Message, session: CryptoSession, url: &str) -> Zeroizing<String> {
    let data = encoded(message, session);
    Zeroizing::new(["prot=mikey;uri=\"", url, "\";data=\"", &data, "\""].concat())
}

/// The value of `a=key-mgmt` in a description.
pub(crate) fn attribute(message: &Message, session: CryptoSession) -> Zeroizing<String> {
    Zeroizing::new(["mikey ", &encoded(message, session)].concat())
}

fn encoded(message: &Message, session: CryptoSession) -> Zeroizing<String> {
    Zeroizing::new(BASE64.encode(&message.write(session)))
}

/// The parts between separators that are not in quotes: a URI may have any of them.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |character| {
        quoted ^= character == '"';
        character == separator && !quoted
    })
}
