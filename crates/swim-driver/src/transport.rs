//! What a transport does for the driver.

use swim_core::{Address, Instant, Member, Message, Node, Transmit};

/// Carries messages between members.
///
/// The driver calls it from one task, and never two methods at a time. Methods
/// other than [`next`](Self::next) must not block: they start work and come back.
///
/// * Over **datagrams** a reply is a packet like a request: [`start`](Self::start)
///   and [`reply`](Self::reply) send one, `next` receives one, and
///   [`take`](Self::take) gives it to the machine.
/// * Over **calls** (gRPC, HTTP, TChannel), `start` begins a call, `next` waits
///   until one has ended, and `take` gives its answer to the machine. What others
///   ask this member comes to a server beside the driver, which passes it on with
///   [`Handle::request`](crate::Handle::request); the driver answers it with the
///   reply of the machine.
///
/// A transport must not send a request twice or try again: the machine decides when a reply is late
/// and whom to ask instead. It bounds the requests that it has under way, and refuses further ones
/// with [`Started::Undelivered`].
pub trait Transport: Send + 'static {
    /// What comes in. A transport with a buffer of its own may use a position in
    /// it.
    type Input: Send;

    /// Starts to carry a request to `transmit.to`. The machine stands by for
    /// questions: whether the receiver is a reachable member, say, or how long
    /// requests may take.
    fn start(&mut self, node: &Node, transmit: Transmit) -> Started;

    /// Waits for the next input; without end when nothing can come.
    ///
    /// The driver drops the future when something else happens first. An
    /// implementation must then lose nothing (it is *cancel safe*).
    fn next(&mut self) -> impl Future<Output = Self::Input> + Send;

    /// Gives an input to the machine: a message by
    /// [`handle_message`](Node::handle_message), a request that did not reach
    /// anybody by [`handle_undelivered`](Node::handle_undelivered), bytes that are
    /// no message by [`handle_malformed`](Node::handle_malformed).
    fn take(&mut self, node: &mut Node, now: Instant, input: Self::Input);

    /// Sends a reply for which no call of a peer waits. A transport for datagrams
    /// sends a packet. By default nothing is sent: the caller gave up.
    fn reply(&mut self, node: &Node, to: Address, reply: Message) {
        let _ = (node, to, reply);
    }

    /// Looks at a reply before it goes out. A transport whose replies carry whole
    /// member lists collects the pages of the machine here. By default each reply
    /// goes out as it is.
    fn complete(&mut self, to: &Address, reply: Message) -> Completed {
        let _ = to;
        Completed::Reply(reply)
    }

    /// A member changed: it is new, has another status or other labels, or was
    /// forgotten. A transport closes connections here that lead nowhere any more.
    fn member_changed(&mut self, before: Option<&Member>, after: Option<&Member>) {
        let _ = (before, after);
    }
}

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Started {
    /// It is under way.
    UnderWay,
    /// It cannot be sent: the address is none, or too many are under way. The
    /// machine goes on at once instead of waiting for an answer.
    Undelivered,
    /// The transport holds the answer already, such as the next page of a list
    /// that came whole.
    Answered(Box<Message>),
}

/// What becomes of a reply.
#[derive(Debug, PartialEq, Eq)]
pub enum Completed {
    /// It goes out.
    Reply(Message),
    /// It waits until the machine has replied to this request as well, which asks
    /// for its continuation under the same peer and number.
    Request(Message),
}
