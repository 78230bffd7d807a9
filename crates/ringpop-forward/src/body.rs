//! Message bodies on their way in and out.
//!
//! * [`early`]: a response of which the first frame, or all, was read ahead.
//! * [`kept`]: the memory of responses that are read whole.
//! * [`guard`]: an upload that was broken off must not look complete to a handler.
//! * [`moved`]: a stream that ends when its key moves to another owner.
//! * [`replay`]: the request, kept as far as it may have to be sent again.
//! * [`reply`]: the response, with what its end releases.

mod guard;
mod kept;
mod moved;
mod read_ahead;
mod replay;
mod reply;

pub(crate) use guard::Guard;
pub(crate) use kept::{Kept, ResponseMemory};
pub(crate) use moved::UntilMoved;
pub(crate) use read_ahead::ReadAhead;
pub use replay::RequestBody;
pub(crate) use replay::{Replay, ReplayBuffer, ReplayMemory};
pub(crate) use reply::{Reply, Tracked, in_trailers};
