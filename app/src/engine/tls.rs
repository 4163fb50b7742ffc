//! TLS of one connection: what comes off the wire, and what goes onto it. RFC 8446; RTSP over it as rtsps URLs mean it.

mod trust;

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

pub use self::trust::{CertificateHash, CertificateHashError, Trust, Untrusted};

/// The first byte of a connection that begins with TLS: a record of the handshake. RFC 8446 §5.1. No RTSP begins with it.
pub(in crate::engine) const FIRST_BYTE: u8 = 0x16;

/// What somebody says who has another protocol there.
const NO_TLS: &str = "the other side does not speak it there; check the port, and whether it is rtsp:// or rtsps://";

/// One read of opened bytes.
const READ: usize = 16 * 1024;

/// Our end of one connection.
pub(in crate::engine) struct Tls(Box<Connection>);

/// Why a connection over TLS is of no use. `{}` is a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The other side is not whom we trust.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// No certificate can be made out to such a host.
    #[error("TLS: {0:?} is no name that a certificate could be made out to")]
    Name(String),
    /// The other side does not keep to TLS, or does not trust us.
    #[error("TLS: {0}")]
    Protocol(String),
    /// This machine cannot speak TLS.
    #[error("TLS cannot be used: {0}")]
    Unusable(String),
}

impl TlsError {
    fn of(error: &rustls::Error) -> Self {
        match Untrusted::of(error) {
            Some(untrusted) => Self::Untrusted(untrusted),
            None => Self::Protocol(error.to_string()),
        }
    }
}

impl Tls {
    /// The server's end.
    pub(in crate::engine) fn serve(config: &Arc<ServerConfig>) -> Result<Self, TlsError> {
        Ok(Self::new(ServerConnection::new(Arc::clone(config)).map_err(|e| TlsError::of(&e))?.into()))
    }

    /// The client's end, of a connection to `host`: a name or an address, an IPv6 address without brackets. What is sealed before the
    /// handshake is done waits for that; begin with [`Self::seal`] of whatever there is, or of nothing.
    pub(in crate::engine) fn dial(config: &Arc<ClientConfig>, host: &str) -> Result<Self, TlsError> {
        // A scope is of this machine's, and in no certificate. RFC 6874 §3.
        let name = host.split('%').next().unwrap_or_default();
        let name = ServerName::try_from(name.to_owned()).map_err(|_| TlsError::Name(host.to_owned()))?;
        Ok(Self::new(ClientConnection::new(Arc::clone(config), name).map_err(|e| TlsError::of(&e))?.into()))
    }

    fn new(mut connection: Connection) -> Self {
        // What waits is bounded by who writes.
        connection.set_buffer_limit(None);
        Self(Box::new(connection))
    }

    /// Takes bytes off the wire; appends what they say to `plain`. After an error [`Self::seal`] still has the alert that says so.
    pub(in crate::engine) fn open(&mut self, mut bytes: &[u8], plain: &mut Vec<u8>) -> Result<(), TlsError> {
        while !bytes.is_empty() {
            // Reading from memory fails only when the other side sends more than it may before the handshake is done.
            let taken = self.0.read_tls(&mut bytes).map_err(|e| TlsError::Protocol(e.to_string()))?;
            let began = !self.0.is_handshaking();
            self.0.process_new_packets().map_err(|e| match e {
                rustls::Error::InvalidMessage(_) if !began => TlsError::Protocol(NO_TLS.to_owned()),
                error => TlsError::of(&error),
            })?;
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
    pub(in crate::engine) fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        // Writing to memory does not fail.
        let _ = self.0.writer().write_all(plain);
        while self.0.wants_write() {
            let _ = self.0.write_tls(out);
        }
    }

    /// Whether keys are yet to be agreed.
    pub(in crate::engine) fn is_handshaking(&self) -> bool {
        self.0.is_handshaking()
    }

    /// Whether something waits to go onto the wire, the handshake's own messages among it.
    pub(in crate::engine) fn wants_write(&self) -> bool {
        self.0.wants_write()
    }

    /// Says that nothing follows. RFC 8446 §6.1.
    pub(in crate::engine) fn close(&mut self) {
        self.0.send_close_notify();
    }
}

#[cfg(test)]
mod tests;
