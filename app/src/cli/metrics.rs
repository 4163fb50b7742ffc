//! How a command does, for Prometheus and what reads its format: `GET /metrics` over HTTP.
//!
//! OpenMetrics 1.0 text. Nothing in it says who anybody is: counts and rates alone, for whoever reaches the address may read them.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use crate::engine::players::Stage;
use crate::engine::snapshot::{Flow, Phase, Snapshot};

/// Readers at once. One more waits.
const MAX_READERS: usize = 8;
/// How long a reader may take for all of it.
const PATIENCE: Duration = Duration::from_secs(10);
/// After a connection could not be accepted, most likely for want of descriptors.
const PAUSE: Duration = Duration::from_secs(1);
const FORMAT: HeaderValue = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Begins to answer at this address; returns which one it is, the port being chosen where it was 0.
///
/// # Errors
/// When it cannot be had.
pub(crate) async fn serve(address: SocketAddr, snapshot: watch::Receiver<Snapshot>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    tokio::spawn(accept_all(listener, snapshot));
    Ok(address)
}

async fn accept_all(listener: TcpListener, snapshot: watch::Receiver<Snapshot>) {
    let places = Arc::new(Semaphore::new(MAX_READERS));
    loop {
        // Never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a reader of metrics could not be accepted");
                sleep(PAUSE).await;
                continue;
            }
        };
        let snapshot = snapshot.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let response = respond(&request, &snapshot.borrow());
                async { Ok::<_, Infallible>(response) }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).keep_alive(false).max_buf_size(16 * 1024);
            let served = timeout(PATIENCE, http.serve_connection(TokioIo::new(stream), answer)).await;
            tracing::debug!(?served, "metrics were read");
            drop(place);
        });
    }
}

fn respond(request: &Request<Incoming>, snapshot: &Snapshot) -> Response<Full<Bytes>> {
    let (status, text) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => (StatusCode::OK, text(snapshot)),
        (&Method::GET | &Method::HEAD, _) => (StatusCode::NOT_FOUND, "metrics are at /metrics\n".to_owned()),
        _ => (StatusCode::METHOD_NOT_ALLOWED, "metrics are read with GET\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    if status == StatusCode::OK {
        response.headers_mut().insert(CONTENT_TYPE, FORMAT);
    }
    response
}

/// Everything, as it is at this moment.
fn text(snapshot: &Snapshot) -> String {
    let mut registry = Registry::with_prefix("visavis");
    registry.register_collector(Box::new(Reading(snapshot.clone())));
    let mut text = String::new();
    // Writing to memory does not fail.
    let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
    text
}

#[derive(Debug)]
struct Reading(Snapshot);

impl Collector for Reading {
    fn encode(&self, mut out: DescriptorEncoder<'_>) -> fmt::Result {
        let Self(now) = self;
        let out = &mut out;
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        family(out, "build_info", "Which program this is", [(version, 1.0)])?;
        let connected = f64::from(u8::from(now.phase == Phase::Connected));
        gauge(out, "call_connected", "Whether a call, or a stream that is watched here, goes on", None, connected)?;
        let [visavis, players] = [now.viewers.len(), now.players.len()].map(|count| count as f64);
        family(
            out,
            "viewers",
            "Who watches our stream",
            [([("kind", "visavis")], visavis), ([("kind", "player")], players)],
        )?;
        if let Some(round_trip) = now.round_trip {
            gauge(out, "round_trip", "Round trip of the media path", Some(&Unit::Seconds), round_trip.as_secs_f64())?;
        }
        let waiting = now.jitter_buffer.as_secs_f64();
        gauge(out, "jitter_buffer", "Sound waiting to be played", Some(&Unit::Seconds), waiting)?;
        let ways = [("sent", &now.sent), ("received", &now.received)];
        let each = |read: fn(&Flow) -> f32| ways.map(|(way, flow)| ([("direction", way)], f64::from(read(flow))));
        let pictures = each(|flow| flow.frames_per_second);
        family(out, "pictures_per_second", "Pictures a second, over the last second", pictures)?;
        let loss = each(|flow| flow.loss);
        family(out, "loss_ratio", "Part of the packets lost in the last report interval, before repair", loss)?;
        let rate = |way, kind, rate: u32| ([("direction", way), ("kind", kind)], f64::from(rate));
        let rates = ways
            .into_iter()
            .flat_map(|(way, flow)| [rate(way, "audio", flow.audio_bitrate), rate(way, "video", flow.video_bitrate)]);
        family(out, "bits_per_second", "What sound and pictures of a call take on the wire", rates)?;
        if let Some(published) = &now.published {
            let up = f64::from(u8::from(matches!(published.stage, Stage::Up(_))));
            gauge(out, "published", "Whether the server that our stream is pushed to takes it", None, up)?;
            counter(out, "publish_failures", "Times that it did not, or not any more", published.failures)?;
            counter(out, "publish_skipped", "Pictures that it did not read fast enough for", published.skipped)?;
        }
        let served = now.served;
        counter(out, "players_joined", "Plain players that began to watch", served.joined)?;
        counter(out, "players_refused", "Requests of plain players that were refused", served.refused)?;
        counter(out, "players_packets", "RTP packets handed to plain players, and to the server", served.packets)?;
        counter(out, "players_bytes", "Bytes of these packets", served.bytes)?;
        counter(out, "players_skipped", "Pictures that plain players did not read fast enough for", served.skipped)
    }
}

fn gauge(out: &mut DescriptorEncoder<'_>, name: &str, help: &str, unit: Option<&Unit>, value: f64) -> fmt::Result {
    let gauge = ConstGauge::new(value);
    gauge.encode(out.encode_descriptor(name, help, unit, gauge.metric_type())?)
}

fn counter(out: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let counter = ConstCounter::new(value);
    counter.encode(out.encode_descriptor(name, help, None, counter.metric_type())?)
}

/// One gauge for each set of labels.
fn family<const N: usize>(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = ([(&'static str, &'static str); N], f64)>,
) -> fmt::Result {
    let mut family = out.encode_descriptor(name, help, None, ConstGauge::new(0.0).metric_type())?;
    for (labels, value) in values {
        ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
