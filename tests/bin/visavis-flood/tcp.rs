//! Connections.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use socket2::{Domain, Protocol, Socket, Type};
use visavis::engine::clock;
use visavis_session::handshake::Nonce;
use visavis_session::handshake::exchange::{Exchange, KeyShare};
use visavis_session::handshake::suite::Suite;

use super::{Aim, Kind, Offered, generator};

/// Connections being made at once, each by a thread of its own.
const THREADS: u64 = 32;
/// Connections that each of them holds open at most.
const HELD: usize = 32;
/// First messages made beforehand for each suite.
const HELLOS: usize = 24;
/// How long the peer may take for anything.
const PATIENCE: Duration = Duration::from_secs(1);

/// Connects until the time or the count is over.
pub(super) fn flood(kind: Kind, aim: Aim) -> anyhow::Result<Offered> {
    let (left, hellos) = (AtomicU64::new(aim.count), hellos());
    thread::scope(|scope| {
        let attack = |number| Attacker {
            kind,
            aim,
            left: &left,
            hellos: &hellos,
            rng: generator(number),
            held: VecDeque::new(),
        };
        let threads: Vec<_> = (0..THREADS).map(|number| scope.spawn(move || attack(number).run())).collect();
        let mut offered = Offered::default();
        for thread in threads {
            offered = offered.plus(thread.join().ok().context("a thread of the flood panicked")?);
        }
        Ok(offered)
    })
}

struct Attacker<'a> {
    kind: Kind,
    aim: Aim,
    /// Connections that may still be tried, by all together.
    left: &'a AtomicU64,
    /// First messages of each suite.
    hellos: &'a [Vec<Vec<u8>>],
    rng: ChaCha20Rng,
    held: VecDeque<TcpStream>,
}

impl Attacker<'_> {
    fn run(mut self) -> Offered {
        let mut offered = Offered::default();
        while clock::now() < self.aim.until {
            if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err() {
                break;
            }
            match self.connect() {
                Ok(stream) => {
                    offered.count += 1;
                    offered.answered += u64::from(self.attack(stream).unwrap_or(false));
                }
                Err(_) => offered.failed += 1,
            }
            self.let_go();
        }
        offered
    }

    /// From an address of its own.
    fn connect(&mut self) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        // Ports are not used up by connections that have ended.
        socket.set_linger(Some(Duration::ZERO))?;
        socket.bind(&SocketAddr::new(self.aim.from.draw(&mut self.rng), 0).into())?;
        socket.connect_timeout(&self.aim.to.into(), PATIENCE)?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// Whether the peer said anything.
    fn attack(&mut self, mut stream: TcpStream) -> io::Result<bool> {
        match self.kind {
            Kind::Silent => {
                stream.set_nonblocking(true)?;
                self.held.push_back(stream);
                Ok(false)
            }
            Kind::Junk => {
                stream.write_all(&self.junk())?;
                Ok(stream.read(&mut [0; 512])? > 0)
            }
            Kind::Hello | Kind::Replay => {
                stream.write_all(&self.hello())?;
                answer(&mut stream)
            }
            Kind::Half => {
                stream.write_all(&self.hello())?;
                let answered = answer(&mut stream)?;
                // A frame of the control channel: all of it and it does not open, or half of it.
                let mut frame = vec![b'$', 254, 3, 132];
                let there = if self.rng.next_u32().is_multiple_of(2) { 900 } else { 450 };
                frame.resize(4 + there, 0);
                self.rng.fill_bytes(&mut frame[4..]);
                stream.write_all(&frame)?;
                stream.set_nonblocking(true)?;
                self.held.push_back(stream);
                Ok(answered)
            }
            Kind::Quic | Kind::Noise | Kind::Lookalike => Ok(false),
        }
    }

    fn hello(&mut self) -> Vec<u8> {
        let suite = self.rng.next_u32() as usize % self.hellos.len();
        let number = if self.kind == Kind::Replay { 0 } else { self.rng.next_u32() as usize % HELLOS };
        let mut hello = self.hellos[suite][number].clone();
        if self.kind != Kind::Replay {
            let nonce = Nonce::generate(&mut self.rng).to_string();
            let at = hello.windows(NONCE.len()).position(|bytes| bytes == NONCE).map_or(0, |at| at + NONCE.len());
            hello[at..at + nonce.len()].copy_from_slice(nonce.as_bytes());
        }
        hello
    }

    fn junk(&mut self) -> Vec<u8> {
        let mut noise = vec![0; 1 + self.rng.next_u32() as usize % 4096];
        self.rng.fill_bytes(&mut noise);
        let start: &[u8] = match self.rng.next_u32() % 6 {
            0 => b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            1 => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            2 => b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 18446744073709551615\r\n\r\n",
            3 => b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nRequire: org.visavis.call\r\nVisavis-Version: 1\r\n\r\n",
            4 => b"$\xfe\xff\xff",
            _ => b"",
        };
        [start, &noise].concat()
    }

    /// Forgets connections that the peer has ended, and waits a little while there are as many as it may hold.
    fn let_go(&mut self) {
        loop {
            self.held.retain_mut(
                |stream| matches!(stream.read(&mut [0; 512]), Err(error) if error.kind() == ErrorKind::WouldBlock),
            );
            if self.held.len() < HELD || clock::now() >= self.aim.until {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Reads M2, or what comes in its place.
fn answer(stream: &mut TcpStream) -> io::Result<bool> {
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    while !answer.windows(4).any(|bytes| bytes == b"\r\n\r\n") && answer.len() < 16 << 10 {
        match stream.read(&mut buffer)? {
            0 => break,
            len => answer.extend_from_slice(&buffer[..len]),
        }
    }
    Ok(!answer.is_empty())
}

const NONCE: &[u8] = b"Visavis-Nonce: ";

/// Proper first messages of each suite.
fn hellos() -> Vec<Vec<Vec<u8>>> {
    let mut rng = generator(u64::MAX);
    let mut hello = |suite: Suite| {
        let exchange = Exchange::start(&[suite], &mut rng);
        let (nonce, shares) = (Nonce::generate(&mut rng), KeyShare::list(&exchange.shares()));
        format!(
            "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nRequire: org.visavis.call\r\nVisavis-Version: 1\r\nVisavis-Suites: {suite}\r\n\
             Visavis-Nonce: {nonce}\r\nVisavis-Share: {shares}\r\nVisavis-UDP-Port: 9\r\n\r\n"
        )
        .into_bytes()
    };
    Suite::ALL.map(|suite| (0..HELLOS).map(|_| hello(suite)).collect()).into()
}
