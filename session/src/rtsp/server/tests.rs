use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use rtsp_types::{Response, Url, Version};
use visavis_net::rtp::codec::Codec;

use super::*;
use crate::rtsp::message::{Incoming, parse};

fn server() -> (Server, ChaCha20Rng) {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let presentation = Presentation { audio: Some(Codec::Opus), video: None };
    (Server::new(presentation, Ways::TcpUdp(8554), &mut rng), rng)
}

fn ask(method: Method, path: &str, headers: &[(&'static str, &str)]) -> Request<Vec<u8>> {
    let url = Url::parse(&format!("rtsp://bob.example{path}")).expect("a URL");
    let mut request = Request::builder(method, Version::V1_0).request_uri(url).build(Vec::new());
    for (name, value) in headers {
        request.insert_header(rtsp_types::HeaderName::from_static_str(name).expect("ASCII"), *value);
    }
    request
}

fn answer(
    server: &mut Server,
    rng: &mut ChaCha20Rng,
    request: &Request<Vec<u8>>,
) -> (Response<Vec<u8>>, Option<Effect>) {
    let (answer, effect) = server.handle(request, rng);
    match parse(&answer.write(1)) {
        Ok(Incoming::Response(response)) => (response, effect),
        other => panic!("no answer: {other:?}"),
    }
}

const OFFER: (&str, &str) = ("Transport", "RTP/SAVPF/TCP;unicast;interleaved=0-1");

#[test]
fn describes_sets_up_plays_and_tears_down() {
    let (mut server, mut rng) = server();
    let (described, _) = answer(&mut server, &mut rng, &ask(Method::Describe, "/call", &[]));
    assert_eq!(described.body(), server.description());

    let (granted, effect) = answer(&mut server, &mut rng, &ask(Method::Setup, "/call/audio", &[OFFER]));
    let Some(Effect::Stream(plan)) = effect else { panic!("no stream: {effect:?}") };
    let transport = Transport::parse(message::value(&granted, TRANSPORT).expect("a transport")).expect("readable");
    assert_eq!(transport.ssrc, Some(plan.ssrc));
    let session = message::value(&granted, SESSION).expect("a session").to_owned();

    let again = answer(&mut server, &mut rng, &ask(Method::Setup, "/call/audio/", &[OFFER, (SESSION, &session)]));
    assert_eq!((again.0.status(), again.1), (StatusCode::Ok, None));

    let wrong = answer(&mut server, &mut rng, &ask(Method::Play, "/call", &[(SESSION, "other")]));
    assert_eq!((wrong.0.status(), wrong.1), (StatusCode::SessionNotFound, None));
    let played = answer(&mut server, &mut rng, &ask(Method::Play, "/call", &[(SESSION, &session)]));
    assert_eq!((played.0.status(), played.1), (StatusCode::Ok, Some(Effect::Play)));
    let twice = answer(&mut server, &mut rng, &ask(Method::Play, "/call", &[]));
    assert_eq!((twice.0.status(), twice.1), (StatusCode::Ok, None));
    let late = answer(&mut server, &mut rng, &ask(Method::Setup, "/call/audio", &[OFFER]));
    assert_eq!((late.0.status(), late.1), (StatusCode::MethodNotValidInThisState, None));

    let torn = answer(&mut server, &mut rng, &ask(Method::Teardown, "/call", &[]));
    assert_eq!((torn.0.status(), torn.1), (StatusCode::Ok, Some(Effect::Teardown)));
}

#[test]
fn refuses_by_the_book() {
    for (method, path, headers, status) in [
        (Method::Setup, "/call/video", vec![OFFER], StatusCode::NotFound),
        (Method::Setup, "/call/smell", vec![OFFER], StatusCode::NotFound),
        (Method::Setup, "/other", vec![OFFER], StatusCode::NotFound),
        (Method::Setup, "/call/audio", vec![], StatusCode::BadRequest),
        (Method::Setup, "/call/audio", vec![("Transport", "RTP/SAVPF/TCP;interleaved=99")], StatusCode::BadRequest),
        (
            Method::Setup,
            "/call/audio",
            vec![("Transport", "RTP/AVP;unicast;client_port=1-2")],
            StatusCode::UnsupportedTransport,
        ),
        (Method::Setup, "/call", vec![OFFER], StatusCode::AggregateOperationNotAllowed),
        (Method::Play, "/call/audio", vec![], StatusCode::OnlyAggregateOperationAllowed),
        (Method::Record, "/call", vec![], StatusCode::NotImplemented),
        (Method::Pause, "/call", vec![], StatusCode::NotImplemented),
        (Method::Extension("DANCE".to_owned()), "/call", vec![], StatusCode::NotImplemented),
    ] {
        let (mut server, mut rng) = server();
        let (response, effect) = answer(&mut server, &mut rng, &ask(method.clone(), path, &headers));
        assert_eq!((response.status(), effect), (status, None), "{method:?} {path}");
    }
}

#[test]
fn play_counts_even_where_nothing_was_set_up() {
    let (mut server, mut rng) = server();
    let (response, effect) = answer(&mut server, &mut rng, &ask(Method::Play, "/call", &[]));
    assert_eq!((response.status(), effect), (StatusCode::MethodNotValidInThisState, Some(Effect::Play)));
    assert!(server.played());
}

#[test]
fn takes_no_source_that_is_in_use() {
    let (mut first, mut rng) = server();
    let (_, effect) = answer(&mut first, &mut rng, &ask(Method::Setup, "/call/audio", &[OFFER]));
    let Some(Effect::Stream(plan)) = effect else { panic!("no stream") };
    let (mut second, mut rng) = server();
    second.avoid(plan.ssrc);
    let (_, effect) = answer(&mut second, &mut rng, &ask(Method::Setup, "/call/audio", &[OFFER]));
    let Some(Effect::Stream(other)) = effect else { panic!("no stream") };
    assert_ne!(plan.ssrc, other.ssrc);
}
