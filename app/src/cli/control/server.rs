//! The running instance's end: takes requests from clients that may be slow, silent or many.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::claim::Claim;
use super::{Asked, Refusal, Reply, Request};

/// Clients at once; one more is told so and sent away.
const MAX_CLIENTS: usize = 16;
/// The longest request, in bytes.
const MAX_REQUEST: u64 = 4096;
/// A client that says nothing, or does not read its answer, for this long is sent away.
const PATIENCE: Duration = Duration::from_secs(60);
/// After a connection could not be accepted, most likely for want of descriptors.
const PAUSE: Duration = Duration::from_secs(1);

/// How long an instance that ends waits for the last answers to be on their way.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// The answers that are under way. Who asked for the end of the instance shall hear that it was done, though the instance
/// may have ended before the task that writes the answer had its turn.
#[derive(Clone, Debug)]
pub(crate) struct Answers(Arc<Semaphore>);

impl Answers {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MAX_CLIENTS)))
    }

    /// Waits until every request that was read has its answer. Nobody may be left to take requests: those that wait are
    /// told that the instance ends.
    pub(crate) async fn written(&self) {
        // Who does not read the answer does not keep the process.
        let _ = timeout(LAST_ANSWERS, self.0.acquire_many(MAX_CLIENTS as u32)).await;
    }
}

/// Begins to take requests. Each client has one under way at most, so [`MAX_CLIENTS`] wait at most.
///
/// # Errors
/// When the socket cannot be waited for.
pub(crate) fn serve(claim: &Claim) -> io::Result<(mpsc::Receiver<Asked>, Answers)> {
    let listener = UnixListener::from_std(claim.listener.try_clone()?)?;
    let (desk, requests) = mpsc::channel(1);
    let answers = Answers::new();
    tokio::spawn(accept_all(listener, desk, answers.clone()));
    Ok((requests, answers))
}

async fn accept_all(listener: UnixListener, desk: mpsc::Sender<Asked>, answers: Answers) {
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if clients.len() < MAX_CLIENTS => {
                    clients.spawn(attend(stream, desk.clone(), answers.clone()));
                }
                Ok((stream, _)) => send_away(&stream),
                Err(error) => {
                    tracing::warn!(%error, "a control connection could not be accepted");
                    sleep(PAUSE).await;
                }
            },
            Some(_) = clients.join_next() => {}
        }
    }
}

/// Its buffer is new and empty: there is room for an answer, or nobody waits for it.
fn send_away(stream: &UnixStream) {
    let reply = Reply::refused(Refusal::TooManyClients, "too many programs control this visavis at once; try again");
    let _ = stream.try_write(&reply.line());
}

/// Serves one client until it goes.
pub(super) async fn attend(stream: UnixStream, desk: mpsc::Sender<Asked>, answers: Answers) {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    while let Ok(Ok(Some(line))) = timeout(PATIENCE, next_line(&mut read)).await {
        // Never closed, and as many as there are clients.
        let _under_way = answers.0.acquire().await;
        let whole = line.ends_with(b"\n") || (line.len() as u64) < MAX_REQUEST;
        let reply = if whole {
            ask(&line, &desk).await
        } else {
            let text = format!("a request has at most {MAX_REQUEST} bytes");
            Reply::refused(Refusal::Malformed, &text)
        };
        if !answer(&mut write, &reply).await || !whole {
            return;
        }
    }
}

/// The next line, or as much of it as a request may have; `None` at the end.
async fn next_line(read: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    read.take(MAX_REQUEST).read_until(b'\n', &mut line).await?;
    Ok((!line.is_empty()).then_some(line))
}

async fn ask(line: &[u8], desk: &mpsc::Sender<Asked>) -> Reply {
    let request = match Request::read(line) {
        Ok(request) => request,
        Err(reply) => return reply,
    };
    let (reply, replied) = oneshot::channel();
    let stopping = || Reply::refused(Refusal::Stopping, "this visavis is about to end");
    if desk.send(Asked { request, reply }).await.is_err() {
        return stopping();
    }
    replied.await.unwrap_or_else(|_| stopping())
}

async fn answer(write: &mut (impl AsyncWrite + Unpin), reply: &Reply) -> bool {
    matches!(timeout(PATIENCE, write.write_all(&reply.line())).await, Ok(Ok(())))
}
