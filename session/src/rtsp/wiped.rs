//! What waits to be sent where it may have a password or a key in it.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

/// Bytes that are wiped once they are taken, and wherever they lay before there were more of them.
#[derive(Default)]
pub(crate) struct Wiped(Zeroizing<Vec<u8>>);

impl Wiped {
    /// Puts bytes behind those that wait; those move to where all have room.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        // In one go: what grows by itself leaves a copy behind.
        self.0 = Zeroizing::new([&self.0, bytes].concat());
    }

    /// Moves all to the end of `out`, whose owner wipes it; `false` if there is nothing.
    pub(crate) fn take(&mut self, out: &mut Vec<u8>) -> bool {
        let any = !self.0.is_empty();
        out.extend_from_slice(&self.0);
        self.0.zeroize();
        any
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Bytes of memory.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

impl fmt::Debug for Wiped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wiped({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_taken_in_order_and_once() {
        let mut wiped = Wiped::default();
        wiped.push(b"one ");
        wiped.push(b"two");
        assert_eq!((wiped.len(), wiped.capacity()), (7, 7), "none of it grew by itself");
        let mut out = b"zero ".to_vec();
        assert!(wiped.take(&mut out) && !wiped.take(&mut out));
        assert_eq!((out.as_slice(), wiped.len()), (&b"zero one two"[..], 0));
    }
}
