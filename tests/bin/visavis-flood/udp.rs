//! Datagrams.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use visavis::engine::clock;
use visavis_net::buf::Pool;
use visavis_net::carrier::quic::Endpoint;
use visavis_net::plan::SrtpProfile;

use super::{Aim, Offered, generator};

/// Sockets, each with an address and a port of its own.
const SOCKETS: usize = 500;
/// The longest datagram, in bytes: what passes an ordinary network in one piece.
const LONGEST: usize = 1400;
/// The longest pause between trains of datagrams.
const STEP: Duration = Duration::from_millis(1);

/// What is sent.
pub(super) enum Shots {
    Noise,
    /// What looks like these packets.
    Lookalikes(Vec<Vec<u8>>),
    /// These datagrams, those of one flight from one address.
    Flights(Vec<Vec<Vec<u8>>>),
}

/// Flights that differ; a handshake that was given up can be begun with the same one.
const FLIGHTS: usize = 2000;

/// What QUIC clients send first, each with identifiers of its own.
pub(super) fn first_flights(now: Instant, to: SocketAddr) -> anyhow::Result<Vec<Vec<Vec<u8>>>> {
    let mut endpoint = Endpoint::new(&SrtpProfile::ALL, Pool::new(0), [9; 32])?;
    let mut flights = Vec::with_capacity(FLIGHTS);
    let mut out = Vec::new();
    for _ in 0..FLIGHTS {
        endpoint.dial(now, to).context("QUIC cannot dial there")?;
        let mut flight = Vec::new();
        while let Some(transmit) = endpoint.poll_transmit(now, &mut out) {
            flight.extend(out.chunks(transmit.segment).map(<[u8]>::to_vec));
            out.clear();
        }
        flights.push(flight);
    }
    Ok(flights)
}

/// Sends `shots`, spread evenly over the time that is left.
pub(super) fn flood(aim: Aim, start: Instant, shots: &Shots) -> anyhow::Result<Offered> {
    let mut rng = generator(7);
    let sockets: Vec<UdpSocket> = (0..if aim.from.is_one() { 1 } else { SOCKETS })
        .map(|_| {
            let from = SocketAddr::new(aim.from.draw(&mut rng), 0);
            UdpSocket::bind(from).with_context(|| format!("{from} is not to be had"))
        })
        .collect::<Result<_, _>>()?;
    let (mut offered, time) = (Offered::default(), aim.until - start);
    while offered.count + offered.failed < aim.count {
        let now = clock::now();
        if now >= aim.until {
            break;
        }
        let due = (aim.count as f64 * (now - start).as_secs_f64() / time.as_secs_f64()) as u64;
        for _ in offered.count + offered.failed..due {
            let shot = match shots {
                Shots::Noise => vec![noise(&mut rng)],
                Shots::Lookalikes(seen) => vec![lookalike(&mut rng, seen)],
                Shots::Flights(flights) => flights[rng.next_u32() as usize % flights.len()].clone(),
            };
            let socket = &sockets[rng.next_u32() as usize % sockets.len()];
            if shot.iter().all(|datagram| socket.send_to(datagram, aim.to).is_ok()) {
                offered.count += 1;
            } else {
                offered.failed += 1;
            }
        }
        thread::sleep(STEP);
    }
    Ok(offered)
}

/// Bytes of any length; half of them begin as RTP, RTCP or QUIC do.
fn noise(rng: &mut ChaCha20Rng) -> Vec<u8> {
    let mut packet = vec![0; rng.next_u32() as usize % LONGEST];
    rng.fill_bytes(&mut packet);
    let starts: [&[u8]; 6] = [b"\x80\x60", b"\x80\xe0", b"\x80\x1a", b"\x80\xc8", b"\x81\xcc", b"\xc0\x00"];
    if rng.next_u32().is_multiple_of(2) && packet.len() > 1 {
        packet[..2].copy_from_slice(starts[rng.next_u32() as usize % starts.len()]);
    }
    packet
}

/// A packet of the call: once more, with one bit changed, of another number, or cut and filled up with noise.
fn lookalike(rng: &mut ChaCha20Rng, seen: &[Vec<u8>]) -> Vec<u8> {
    let mut packet = seen[rng.next_u32() as usize % seen.len()].clone();
    match rng.next_u32() % 4 {
        0 => {}
        1 => {
            let at = rng.next_u32() as usize % packet.len();
            packet[at] ^= 1 << (rng.next_u32() % 8);
        }
        // RTP's number and time stamp, or the first words of a report; what follows are readable sources.
        2 => rng.fill_bytes(&mut packet[2..4]),
        _ => {
            let len = 12 + rng.next_u32() as usize % (LONGEST - 12);
            packet.resize(len, 0);
            rng.fill_bytes(&mut packet[12..]);
        }
    }
    packet
}

/// The contents of the UDP datagrams in a file of tcpdump's: the classic format with Ethernet frames, IPv4.
pub(super) fn read_capture(path: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let file = fs::read(path).with_context(|| path.display().to_string())?;
    let header = file.get(..24).context("no capture: too short")?;
    ensure!(header.starts_with(&[0xd4, 0xc3, 0xb2, 0xa1]), "no capture in the byte order of this machine");
    ensure!(header[20] == 1, "no Ethernet frames in it");
    let (mut packets, mut rest) = (Vec::new(), &file[24..]);
    while let Some((record, after)) = rest.split_at_checked(16) {
        let len = u32::from_le_bytes([record[8], record[9], record[10], record[11]]) as usize;
        let Some((frame, after)) = after.split_at_checked(len) else { break };
        // What is longer is a train of packets that the kernel has not cut yet.
        packets.extend(payload(frame).filter(|payload| (16..=LONGEST).contains(&payload.len())).map(<[u8]>::to_vec));
        rest = after;
    }
    Ok(packets)
}

/// What a frame's datagram holds.
fn payload(frame: &[u8]) -> Option<&[u8]> {
    let ip = frame.get(14..).filter(|_| frame[12..14] == [8, 0])?;
    let udp = ip.get(usize::from(ip.first()? & 15) * 4..).filter(|_| ip.get(9) == Some(&17))?;
    let len = usize::from(u16::from_be_bytes([*udp.get(4)?, *udp.get(5)?]));
    udp.get(8..len)
}
