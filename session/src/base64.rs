//! The one reader of base64 in headers.

use data_encoding::BASE64;
use zeroize::Zeroizing;

/// Decodes exactly `N` bytes, with padding and nothing else (RFC 4648 §4); looks at the length before it allocates.
pub(crate) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let fits = text.len() == BASE64.encode_len(N);
    fits.then(|| BASE64.decode(text.as_bytes()).ok()).flatten()?.try_into().ok()
}

/// Decodes all of a text whose length has been looked at, into memory that is wiped.
pub(crate) fn decode_all(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    BASE64.decode(text.as_bytes()).ok().map(Zeroizing::new)
}
