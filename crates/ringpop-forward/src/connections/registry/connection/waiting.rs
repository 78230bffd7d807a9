//! A call that waits for its caller: for the next part of its request, or for the caller to read
//! its answer.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::task::Waker;

use tokio::time::Instant;
use tonic::{Code, Status};

use super::content::Content;
use super::lock;
use super::open_call::OpenCall;

/// For what a call waits, those first that are shed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum For {
    /// For the first byte of a request: nothing has been done for it yet.
    Begin,
    /// For its answer to be read.
    Read,
    /// For the next part of a request.
    Upload,
    /// For its handler to read the request.
    Handler,
}

/// Why a call was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shed {
    /// It waited for too long.
    TimedOut(For),
    /// Its place was needed.
    Overloaded(For),
}

impl Shed {
    pub(crate) fn status(self) -> Status {
        let (code, reason) = match self {
            Self::TimedOut(_) => (Code::DeadlineExceeded, "in time"),
            Self::Overloaded(_) => {
                (Code::ResourceExhausted, "before its place was needed for others")
            }
        };
        let (Self::TimedOut(waited_for) | Self::Overloaded(waited_for)) = self;
        let what = match waited_for {
            For::Begin => "the request did not come",
            For::Upload => "the request did not go on",
            For::Read => "the answer was not read",
            For::Handler => "the request was not read",
        };
        Status::new(code, format!("{what} {reason}"))
    }
}

/// The state that a waiting call shares with the search for calls that wait too long.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) call: Arc<OpenCall>,
    state: Mutex<State>,
}

#[derive(Debug)]
pub(crate) struct State {
    /// For what, and since when; `None` while something else is waited for.
    pub(crate) since: Option<(For, Instant)>,
    /// The rest of an answer.
    pub(crate) content: Option<Content>,
    /// Bytes of a message that is not whole.
    pub(crate) unfinished: usize,
    pub(crate) shed: Option<Shed>,
    /// It is an answer that was given up.
    is_freed: bool,
    /// Reads the request.
    pub(crate) reader: Option<Waker>,
}

/// A call that waits, as it stands in the list of those that do.
#[derive(Debug)]
pub(crate) struct Idle {
    pub(crate) waits_for: For,
    pub(crate) since: Instant,
    /// Bytes that are held for it.
    pub(crate) bytes: usize,
    pub(crate) waiting: Arc<Waiting>,
}

impl Waiting {
    pub(crate) fn new(call: Arc<OpenCall>, content: Option<Content>) -> Arc<Self> {
        let state = State {
            since: None,
            content,
            unfinished: 0,
            shed: None,
            is_freed: false,
            reader: None,
        };
        Arc::new(Self { call, state: Mutex::new(state) })
    }

    pub(crate) fn state(&self) -> std::sync::MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// How it waits at this moment, if it does. A call that is being served right now does not.
    pub(crate) fn idle(self: &Arc<Self>) -> Option<Idle> {
        let state = self.state.try_lock().ok()?;
        let (waits_for, since) = state.since?;
        let bytes = state.content.as_ref().map_or(state.unfinished, Content::bytes);
        // A caller that reads an endless answer need not send anything.
        let since = if waits_for == For::Upload { since.max(self.call.answered()) } else { since };
        Some(Idle { waits_for, since, bytes, waiting: Arc::clone(self) })
    }

    /// The answer is gone: its caller has read its end, or went away.
    pub(crate) fn leave(&self) {
        if std::mem::take(&mut self.state().is_freed) {
            self.call.connection.freed_unread.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Gives the call up, and frees its memory.
    pub(crate) fn shed(&self, shed: Shed) {
        let mut state = self.state();
        if state.since.take().is_none() {
            // It goes on meanwhile.
            return;
        }
        state.shed = Some(shed);
        let (content, reader) = (state.content.take(), state.reader.take());
        if content.is_some() {
            state.is_freed = true;
            self.call.connection.freed_unread.fetch_add(1, Ordering::Relaxed);
        }
        drop(state);
        self.call.begin_to_leave();
        self.call.connection.all.count_shed(shed);
        // Outside of the lock: both run the code of others.
        drop(content);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}
