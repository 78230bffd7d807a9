//! The tower layer, the service that it makes, and the future of one request.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use tonic::body::Body;
use tonic::server::NamedService;
use tower_layer::Layer;
use tower_service::Service;

use crate::body::ReplayBuffer;
use crate::origin::Origin;
use crate::resolver::Held;
use crate::retry::attempts::forward;
use crate::route::first_message::{MessageKey, message_key};
use crate::route::key::{HeadKey, Key, KeyError, KeySource};
use crate::server::call::{Admission, Call, Placement, admit};
use crate::server::local::LocalCall;
use crate::server::ownership::Lost;
use crate::shared::Shared;
use crate::transport::{H2Transport, PeerTransport};

/// Makes services sharded. See [`Forwarder::layer`](crate::Forwarder::layer).
pub struct ForwardLayer<T = H2Transport> {
    shared: Arc<Shared<T>>,
}

impl<T> ForwardLayer<T> {
    pub(crate) fn new(shared: Arc<Shared<T>>) -> Self {
        Self { shared }
    }
}

impl<T> Clone for ForwardLayer<T> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.shared))
    }
}

impl<T> fmt::Debug for ForwardLayer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForwardLayer").finish_non_exhaustive()
    }
}

impl<S, T> Layer<S> for ForwardLayer<T> {
    type Service = ForwardService<S, T>;

    fn layer(&self, inner: S) -> Self::Service {
        ForwardService::new(inner, Arc::clone(&self.shared), Origin::Server)
    }
}

/// Handles a request in `S`, or forwards it to the owner of its key.
pub struct ForwardService<S, T = H2Transport> {
    local: S,
    shared: Arc<Shared<T>>,
    origin: Origin,
}

impl<S, T> ForwardService<S, T> {
    pub(crate) fn new(local: S, shared: Arc<Shared<T>>, origin: Origin) -> Self {
        Self { local, shared, origin }
    }
}

impl<S: Clone, T> Clone for ForwardService<S, T> {
    fn clone(&self) -> Self {
        Self::new(self.local.clone(), Arc::clone(&self.shared), self.origin.clone())
    }
}

impl<S, T> fmt::Debug for ForwardService<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForwardService").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl<S: NamedService, T> NamedService for ForwardService<S, T> {
    const NAME: &'static str = S::NAME;
}

impl<S, T> Service<Request<Body>> for ForwardService<S, T>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    T: PeerTransport,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = ForwardFuture<S, T>;

    /// Always ready: whether the local service is matters only to calls that it handles, and they
    /// wait for it.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (head, body) = request.into_parts();
        let (call, key) = match admit(&self.shared, &self.origin, head) {
            Admission::Unrouted(head) => {
                let future = LocalCall::new(self.local.clone(), Request::from_parts(head, body));
                return ForwardFuture { state: State::Unrouted { future } };
            }
            Admission::Answered(response) => return ForwardFuture::answered(response),
            Admission::Admitted(call, key) => (call, key),
        };
        let mut call = call;
        let place = match key {
            HeadKey::Found(key) => {
                let placement = call.place(&key);
                if let Some(held) = call.held(&placement, &key) {
                    let buffer = call.buffer(body);
                    let future = Box::pin(place_later(held, call, key, buffer, self.local.clone()));
                    return ForwardFuture { state: State::There { future } };
                }
                (placement, key)
            }
            HeadKey::Missing => match call.place_without_key() {
                Ok(placed) => placed,
                Err(error) => return ForwardFuture::answered(call.refuse_key(error)),
            },
            HeadKey::InMessage => {
                let buffer = call.buffer(body);
                let local = self.local.clone();
                let peeking = Some(Peeking { call, buffer, local, timer: None });
                return ForwardFuture { state: State::Peeking { peeking } };
            }
        };
        let state = match place {
            (Placement::Local, _) => {
                let body = call.body_for_handler(body);
                State::here(call, body, self.local.clone())
            }
            (Placement::Remote(owner), key) => {
                let buffer = call.buffer(body);
                let future = Box::pin(forward(call, key, owner, buffer, self.local.clone()));
                State::There { future }
            }
            (Placement::Disputed(why, owner), _) => {
                return ForwardFuture::answered(call.refuse_disagreement(why, owner.as_ref()));
            }
        };
        ForwardFuture { state }
    }
}

/// A request that waits for its first message.
struct Peeking<S, T> {
    call: Call<T>,
    buffer: ReplayBuffer,
    local: S,
    /// Set when the message has to be waited for, which is rare.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S, T> Peeking<S, T> {
    /// Reads until the key is known. `None` when the message has none.
    fn poll_key(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Key>, PeekFailure>> {
        let KeySource::Field(field) = &self.call.route.key else {
            return Poll::Ready(Ok(None));
        };
        loop {
            match message_key(&self.buffer, field, self.call.protocol, &self.call.head.headers)? {
                MessageKey::Found(key) => return Poll::Ready(Ok(Some(key))),
                MessageKey::Missing => return Poll::Ready(Ok(None)),
                MessageKey::Need(bytes) => match self.buffer.poll_fill(cx, bytes) {
                    Poll::Ready(filled) => filled?,
                    Poll::Pending => return self.poll_limit(cx).map(Err),
                },
            }
        }
    }

    /// Waits until the message is late, or the whole call.
    fn poll_limit(&mut self, cx: &mut Context<'_>) -> Poll<PeekFailure> {
        let timer = self.timer.get_or_insert_with(|| {
            let late = Instant::now() + self.call.shared.settings.first_message_timeout;
            let end = self.call.deadline.map_or(late, |deadline| deadline.answer_at.min(late));
            Box::pin(sleep_until(end))
        });
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(if self.call.has_expired() { PeekFailure::Deadline } else { PeekFailure::Late })
    }
}

enum PeekFailure {
    Key(KeyError),
    Body(tonic::Status),
    Deadline,
    Late,
}

impl From<KeyError> for PeekFailure {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

impl From<tonic::Status> for PeekFailure {
    fn from(status: tonic::Status) -> Self {
        Self::Body(status)
    }
}

pin_project! {
    /// The response of a [`ForwardService`]. Handling locally allocates nothing for it.
    pub struct ForwardFuture<S, T>
    where
        S: Service<Request<Body>>,
    {
        #[pin]
        state: State<S, T>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, T>
    where
        S: Service<Request<Body>>,
    {
        Unrouted { #[pin] future: LocalCall<S> },
        Answered { response: Option<Response<Body>> },
        Peeking { peeking: Option<Peeking<S, T>> },
        Here {
            #[pin]
            future: LocalCall<S>,
            #[pin]
            timer: Option<Sleep>,
            call: Option<Call<T>>,
            // In a box, for streams alone have one, and each layer around copies the whole future.
            lost: Option<Box<Lost>>,
        },
        There { future: Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>> },
    }
}

impl<S: Service<Request<Body>>, T> State<S, T> {
    fn here(mut call: Call<T>, body: Body, local: S) -> Self {
        if call.has_expired() {
            return Self::Answered { response: Some(call.answer_exceeded()) };
        }
        call.count_here();
        let lost = call.follow_here().map(Box::new);
        let head = std::mem::replace(&mut call.head, Request::new(()).into_parts().0);
        let future = LocalCall::new(local, Request::from_parts(head, body));
        Self::Here { future, timer: None, call: Some(call), lost }
    }
}

impl<S: Service<Request<Body>>, T> ForwardFuture<S, T> {
    fn answered(response: Response<Body>) -> Self {
        Self { state: State::Answered { response: Some(response) } }
    }
}

impl<S: Service<Request<Body>>, T> fmt::Debug for ForwardFuture<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForwardFuture").finish_non_exhaustive()
    }
}

impl<S, T> Future for ForwardFuture<S, T>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    T: PeerTransport,
{
    type Output = Result<Response<Body>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProjection::Unrouted { future } => return future.poll(cx),
                StateProjection::There { future } => return future.as_mut().poll(cx),
                StateProjection::Answered { response } => {
                    return Poll::Ready(Ok(response.take().expect("polled after it was ready")));
                }
                StateProjection::Here { future, timer, call, lost } => {
                    return poll_here(cx, future, timer, call, lost);
                }
                StateProjection::Peeking { peeking } => {
                    let key =
                        ready!(peeking.as_mut().expect("polled after it was ready").poll_key(cx));
                    let peeking = peeking.take().expect("taken once, right here");
                    peeking.into_state(key)
                }
            };
            state.set(next);
        }
    }
}

impl<S, T> Peeking<S, T>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    T: PeerTransport,
{
    /// Goes on as the key tells.
    fn into_state(self, key: Result<Option<Key>, PeekFailure>) -> State<S, T> {
        let Self { mut call, buffer, local, .. } = self;
        let placed = match key {
            Ok(Some(key)) => {
                let placement = call.place(&key);
                if let Some(held) = call.held(&placement, &key) {
                    let future = Box::pin(place_later(held, call, key, buffer, local));
                    return State::There { future };
                }
                Ok((placement, key))
            }
            Ok(None) => call.place_without_key(),
            Err(PeekFailure::Key(error)) => Err(error),
            Err(PeekFailure::Body(status)) => {
                return State::Answered { response: Some(call.answer_broken(status)) };
            }
            Err(PeekFailure::Deadline) => {
                return State::Answered { response: Some(call.answer_exceeded()) };
            }
            Err(PeekFailure::Late) => {
                return State::Answered { response: Some(call.answer_late()) };
            }
        };
        match placed {
            Ok((Placement::Local, _)) => State::here(call, Body::new(buffer.into_body()), local),
            Ok((Placement::Remote(owner), key)) => {
                State::There { future: Box::pin(forward(call, key, owner, buffer, local)) }
            }
            Ok((Placement::Disputed(why, owner), _)) => {
                State::Answered { response: Some(call.refuse_disagreement(why, owner.as_ref())) }
            }
            Err(error) => State::Answered { response: Some(call.refuse_key(error)) },
        }
    }
}

/// Places a call when its key has moved, or answers it.
async fn place_later<S, T>(
    held: Held,
    mut call: Call<T>,
    key: Key,
    buffer: ReplayBuffer,
    local: S,
) -> Result<Response<Body>, S::Error>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    T: PeerTransport,
{
    call.shared.counters.held.add_one();
    let released = match call.deadline {
        None => Ok(held.await),
        Some(deadline) => timeout_at(deadline.answer_at, held).await,
    };
    match released {
        Ok(Ok(())) => {}
        Ok(Err(status)) => {
            call.shared.counters.held_refused.add_one();
            return Ok(call.answer(status));
        }
        Err(_) => return Ok(call.answer_exceeded()),
    }
    match call.place(&key) {
        Placement::Local => {
            let body = Body::new(buffer.into_body());
            ForwardFuture { state: State::here(call, body, local) }.await
        }
        Placement::Remote(owner) => forward(call, key, owner, buffer, local).await,
        Placement::Disputed(why, owner) => Ok(call.refuse_disagreement(why, owner.as_ref())),
    }
}

/// Waits for a handler in this process, until the deadline or until the key of a stream moves.
fn poll_here<F, E, T>(
    cx: &mut Context<'_>,
    future: Pin<&mut F>,
    mut timer: Pin<&mut Option<Sleep>>,
    call: &mut Option<Call<T>>,
    lost: &mut Option<Box<Lost>>,
) -> Poll<Result<Response<Body>, E>>
where
    F: Future<Output = Result<Response<Body>, E>>,
    T: PeerTransport,
{
    let finished = future.poll(cx);
    let running = call.as_ref().expect("polled after it was ready");
    if let Poll::Ready(result) = finished {
        let call = call.take().expect("it was there a line ago");
        let lost = lost.take().map(|lost| *lost);
        return Poll::Ready(result.map(|response| call.finish_here(response, lost)));
    }
    if let Some(lost) = lost
        && let Poll::Ready(owner) = Pin::new(lost).poll(cx)
    {
        return Poll::Ready(Ok(running.answer_moved(owner.as_ref())));
    }
    let Some(deadline) = running.deadline else {
        return Poll::Pending;
    };
    if timer.is_none() {
        timer.set(Some(sleep_until(deadline.answer_at)));
    }
    if let Some(timer) = timer.as_pin_mut() {
        ready!(timer.poll(cx));
    }
    Poll::Ready(Ok(running.answer_exceeded()))
}
