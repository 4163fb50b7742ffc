//! TLS of one connection: what comes off the wire, and what goes onto it. RFC 8446; RTSP over it as rtsps URLs mean it.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection};

/// The first byte of a connection that begins with TLS: a record of the handshake. RFC 8446 §5.1. No RTSP begins with it.
pub(in crate::engine) const FIRST_BYTE: u8 = 0x16;

/// One read of opened bytes.
const READ: usize = 16 * 1024;

/// The server's end of one connection.
pub(super) struct Tls(Box<ServerConnection>);

/// The other side does not keep to TLS, or does not trust us.
#[derive(Debug, thiserror::Error)]
#[error("TLS: {0}")]
pub(super) struct TlsError(String);

impl Tls {
    pub(super) fn new(config: &Arc<ServerConfig>) -> Result<Self, TlsError> {
        let mut connection = ServerConnection::new(Arc::clone(config)).map_err(|e| TlsError(e.to_string()))?;
        // What waits is bounded by who writes.
        connection.set_buffer_limit(None);
        Ok(Self(Box::new(connection)))
    }

    /// Takes bytes off the wire; appends what they say to `plain`.
    pub(super) fn open(&mut self, mut bytes: &[u8], plain: &mut Vec<u8>) -> Result<(), TlsError> {
        while !bytes.is_empty() {
            // Reading from memory fails only when the other side sends more than it may before the handshake is done.
            let taken = self.0.read_tls(&mut bytes).map_err(|e| TlsError(e.to_string()))?;
            self.0.process_new_packets().map_err(|e| TlsError(e.to_string()))?;
            let mut chunk = [0; READ];
            while let Ok(len @ 1..) = self.0.reader().read(&mut chunk) {
                plain.extend_from_slice(&chunk[..len]);
            }
            if taken == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Seals `plain`, which may be nothing, and appends all that is to go onto the wire.
    pub(super) fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        // Writing to memory does not fail.
        let _ = self.0.writer().write_all(plain);
        while self.0.wants_write() {
            let _ = self.0.write_tls(out);
        }
    }

    /// Whether something waits to go onto the wire, the handshake's own messages among it.
    pub(super) fn wants_write(&self) -> bool {
        self.0.wants_write()
    }

    /// Says that nothing follows. RFC 8446 §6.1.
    pub(super) fn close(&mut self) {
        self.0.send_close_notify();
    }
}
