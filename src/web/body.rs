//! Bodies of answers: a text that keeps its room until it is sent, and one that is made while it is
//! sent, no faster than the client reads.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use hyper::body::Frame;
use tokio::sync::OwnedSemaphorePermit;

use crate::web::app::App;
use crate::web::log::Log;
use crate::web::thread::on_thread;

/// A text with its room. The connection drops it when all of it was written.
struct Held {
    text: String,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

/// Returns a body that has its room until it is sent.
pub fn held(text: String, room: OwnedSemaphorePermit) -> Body {
    Body::from(Bytes::from_owner(Held { text, _room: room }))
}

/// What comes next of a body, and from what the rest is made; `None`: it is complete.
pub type Step<S> = Result<Option<(Bytes, S)>, BoxError>;

/// A body that is made while it is sent.
struct Pulled<S, F, N> {
    /// `None`: a step is under way, or it is over.
    state: Option<S>,
    make: F,
    step: Option<Pin<Box<N>>>,
}

/// Returns a body whose parts `make` returns one after the other.
pub fn pulled<S, F, N>(state: S, make: F) -> Body
where
    S: Send + Unpin + 'static,
    F: FnMut(S) -> N + Send + Unpin + 'static,
    N: Future<Output = Step<S>> + Send + 'static,
{
    Body::new(Pulled { state: Some(state), make, step: None })
}

impl<S, F, N> HttpBody for Pulled<S, F, N>
where
    S: Unpin,
    F: FnMut(S) -> N + Unpin,
    N: Future<Output = Step<S>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Some(state) = this.state.take() {
            this.step = Some(Box::pin((this.make)(state)));
        }
        let Some(step) = &mut this.step else { return Poll::Ready(None) };
        let done = ready!(step.as_mut().poll(cx));
        this.step = None;
        Poll::Ready(match done {
            Ok(None) => None,
            Ok(Some((bytes, state))) => {
                this.state = Some(state);
                Some(Ok(Frame::data(bytes)))
            }
            Err(error) => Some(Err(error)),
        })
    }
}

/// Returns a body with a log.
pub fn of_log(app: Arc<App>, log: Log) -> Body {
    pulled(log, move |mut log| {
        let app = Arc::clone(&app);
        async move {
            let read = on_thread(&app, move |_| log.next().map(|bytes| (bytes, log))).await;
            let (bytes, log) = read.map_err(|problem| problem.text)??;
            Ok((!bytes.is_empty()).then(|| (bytes.into(), log)))
        }
    })
}

/// Whether a body was refused because of its length.
pub fn is_too_long(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<http_body_util::LengthLimitError>())
}
