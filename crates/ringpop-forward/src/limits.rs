//! Every name, default and limit of this crate, and how each was chosen.

use std::time::Duration;

use http::HeaderName;

/// Metadata that carries the routing key as visible ASCII text.
pub const KEY_HEADER: HeaderName = HeaderName::from_static("ringpop-key");

/// Metadata that carries the routing key as base64 of arbitrary bytes, as gRPC encodes `-bin`
/// metadata.
pub const KEY_BIN_HEADER: HeaderName = HeaderName::from_static("ringpop-key-bin");

/// Metadata by which a caller states that this one call may be executed twice.
///
/// The value is not looked at; the route table is the better place for what holds for every call of
/// a method.
pub const IDEMPOTENT_HEADER: HeaderName = HeaderName::from_static("ringpop-idempotent");

/// Metadata by which a caller asks for [`HANDLED_BY_HEADER`] and [`HOPS_HEADER`] on the response.
pub const EXPLAIN_HEADER: HeaderName = HeaderName::from_static("ringpop-explain");

/// The hop header, set on every forwarded request.
///
/// It is the only header that forwarding adds for itself, and its value is constant while the epoch
/// is, so HPACK sends it as one byte from the second request of a connection on.
pub const HOP_HEADER: HeaderName = HeaderName::from_static("ringpop-fwd");

/// Response metadata: the name of the process whose handler answered.
pub const HANDLED_BY_HEADER: HeaderName = HeaderName::from_static("ringpop-handled-by");

/// Response metadata: how often the request was forwarded before its handler ran.
pub const HOPS_HEADER: HeaderName = HeaderName::from_static("ringpop-hops");

/// Response metadata of a refusal that was made before the handler saw the request, so it is
/// safe to send again.
pub const REFUSED_HEADER: HeaderName = HeaderName::from_static("ringpop-refused");

/// Response metadata of a refusal because members disagree: `e=<epoch in hex>;o=<owner>`, the view
/// of the member that refused.
pub const VIEW_HEADER: HeaderName = HeaderName::from_static("ringpop-view");

/// Response metadata of a stream that was ended because its key moved: the address of the new
/// owner, or `nobody`. See [`Routes::end_when_moved`](crate::Routes::end_when_moved).
pub const MOVED_TO_HEADER: HeaderName = HeaderName::from_static("ringpop-moved-to");

/// Response metadata: a request for many keys was not handled, because not all of them belong here
/// any more.
#[cfg(feature = "direct")]
pub(crate) const KEYS_DIVERGED_HEADER: HeaderName =
    HeaderName::from_static("ringpop-keys-diverged");

/// gRPC's header for the time a call may still take.
pub(crate) const GRPC_TIMEOUT_HEADER: HeaderName = HeaderName::from_static("grpc-timeout");

/// gRPC's header (proposal A6) by which a server learns that it does not see the first attempt.
pub(crate) const GRPC_ATTEMPTS_HEADER: HeaderName =
    HeaderName::from_static("grpc-previous-rpc-attempts");

/// gRPC's header with the text of a status.
pub(crate) const GRPC_MESSAGE_HEADER: HeaderName = HeaderName::from_static("grpc-message");

/// gRPC's header that names the compression of messages.
pub(crate) const GRPC_ENCODING_HEADER: HeaderName = HeaderName::from_static("grpc-encoding");

/// Longest routing key, in bytes. Keys are identifiers; hashing one must never cost as much as
/// serving the request.
pub const KEY_BYTES_MAX: usize = 4096;

/// Keys up to this length live inside the request's own memory; 64 bytes hold a UUID or a path of
/// three of them.
pub(crate) const KEY_BYTES_INLINE: usize = 64;

/// How many bytes of the first message are read in search of the key. The same figure as
/// [`REPLAY_BYTES`], because the bytes that were read have to be kept until they are sent.
pub const PEEK_BYTES_MAX: usize = 64 * 1024;

/// How deeply groups may nest in a message that is searched for a key; the limit that protobuf
/// decoders use.
pub(crate) const PEEK_DEPTH_MAX: usize = 100;

/// Longest hop header: the numbers, one name of [`NAME_BYTES_MAX`], and a path of eight ordinary
/// addresses.
pub(crate) const HOP_HEADER_BYTES_MAX: usize = 512;

/// The name of a process that was given none. It tells nobody apart.
pub(crate) const UNNAMED: &str = "unnamed";

/// Longest name of a process: the longest DNS name (255) plus a port.
pub const NAME_BYTES_MAX: usize = 261;

/// A request that was forwarded this often is not forwarded again. One hop reaches the owner; a
/// second one corrects a sender whose ring is older than that of the receiver. Further ones mean
/// that members disagree.
pub const HOPS_MAX_DEFAULT: u8 = 2;

/// Largest configurable number of hops. Rings disagree only for moments; a longer path is a loop.
pub const HOPS_MAX_LIMIT: u8 = 4;

/// A hop count that was not believed still ends the forwarding here. It lies above
/// [`HOPS_MAX_LIMIT`] and its allowance while draining, so no honest path reaches it.
pub(crate) const HOPS_UNTRUSTED_MAX: u8 = 8;

/// Bytes of a request that are kept so that it can be sent to another owner; linkerd and gRPC keep
/// as much.
pub const REPLAY_BYTES: usize = 64 * 1024;

/// Largest configurable replay limit. It is memory per call in flight.
pub const REPLAY_BYTES_LIMIT: usize = 16 * 1024 * 1024;

/// Bytes that all calls of a process together keep for replays: a thousand full ones.
pub const REPLAY_MEMORY_BYTES: usize = 64 * 1024 * 1024;

/// Largest configurable memory for replays.
pub const REPLAY_MEMORY_BYTES_LIMIT: u64 = 64 << 30;

/// A unary response of an idempotent call is given to its caller when all of it is here, so
/// the next owner can be asked when it breaks off. Longer ones are given on as they come. As much
/// as is kept of a request.
pub const WHOLE_RESPONSE_BYTES: usize = 64 * 1024;

/// Bytes that all calls of a process together keep of such responses: a thousand full ones. Beyond
/// it, responses are given on as they come.
pub(crate) const WHOLE_RESPONSES_MEMORY_BYTES: usize = 64 * 1024 * 1024;

/// gRPC's header (proposal A6) by which a server says when a failed call may be sent again, if at
/// all.
pub(crate) const GRPC_PUSHBACK_HEADER: HeaderName =
    HeaderName::from_static("grpc-retry-pushback-ms");

/// Attempts per call, the first included; gRPC's proposal A6 caps a policy at five.
pub const ATTEMPTS_MAX_DEFAULT: u32 = 5;

/// Largest configurable number of attempts: beyond it a retry storm costs more than the failed
/// call.
pub const ATTEMPTS_LIMIT: u32 = 16;

/// How long an attempt may take unless its policy says otherwise. It ends what nothing else ends,
/// such as a call to an owner that lives and never answers; long enough for any answer that is
/// worth waiting for, and for a PING that servers allow.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(600);

/// How long a call waits for a connection before the next owner is asked instead; the dial goes on
/// for others. The delay by which RFC 8305 begins a second dial.
pub(crate) const DIAL_PATIENCE: Duration = Duration::from_millis(250);

/// An owner that is in doubt is asked still when it answered within this time: as long as a failure
/// detector of ordinary settings takes to doubt, so an answer is as good as what the doubt is
/// built on.
pub(crate) const DOUBT_ANSWER_AGE_MAX: Duration = Duration::from_secs(1);

/// After how long an idempotent attempt that begins at an owner in doubt is hedged: several
/// round trips in any network.
pub(crate) const DOUBT_HEDGE_AFTER: Duration = Duration::from_millis(250);

/// Shortest configurable time of an attempt. Below it, timers cost more than they save.
pub const ATTEMPT_TIMEOUT_MIN: Duration = Duration::from_millis(1);

/// Longest configurable time of an attempt; callers that wait for longer want no limit.
pub const ATTEMPT_TIMEOUT_MAX: Duration = Duration::from_secs(3600);

/// How many owners of a key are asked before the first one is asked again. Those that cannot be
/// reached do not count.
pub const OWNERS_DEFAULT: usize = 3;

/// How many owners of a key are looked at in one round when those before cannot be reached. A
/// lookup of so many is still quick, and a cluster of which a thousand members in a row are
/// unreachable serves nobody.
pub(crate) const OWNERS_WALK_MAX: usize = 1024;

/// How many owners keep a key that is replicated: the fewest of which a majority survives the loss
/// of one. Ringpop's default.
pub const REPLICAS_DEFAULT: usize = 3;

/// Largest configurable number of owners, so one lookup stays a short walk.
pub const OWNERS_LIMIT: usize = 16;

/// Back-off before each further round over the owners; the last entry repeats.
pub(crate) const SCHEDULE_MS: [u64; 4] = [0, 50, 200, 1000];

/// Longest configurable back-off entry.
pub const BACKOFF_LIMIT: Duration = Duration::from_secs(60);

/// Most entries of a back-off schedule: as many as there can be attempts.
pub const SCHEDULE_LEN_LIMIT: usize = ATTEMPTS_LIMIT as usize;

/// Jitter on each back-off, as a fraction of it in either direction (A6).
pub(crate) const BACKOFF_JITTER: f64 = 0.2;

/// A deadline is answered this much early at most, so our DEADLINE_EXCEEDED overtakes the
/// CANCELLED of tonic's own timer, which runs outside of this layer.
pub(crate) const DEADLINE_MARGIN_MAX: Duration = Duration::from_millis(5);

/// The same margin as a divisor of the whole timeout: 2 %.
pub(crate) const DEADLINE_MARGIN_DIVISOR: u32 = 50;

/// How long one dial may take, name resolution and HTTP/2 preface included. A black-holed peer
/// costs its callers this much once; then its circuit keeps others away.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// After so many attempts in a row without an answer the connections to a peer are not trusted any
/// more. One slow answer proves nothing; several in a row, with none between them, are worth a
/// dial.
pub(crate) const UNANSWERED_MAX: u32 = 5;

/// After a failed dial the peer is skipped this long. The time doubles with each further failure.
pub(crate) const DIAL_BACKOFF_MIN: Duration = Duration::from_millis(50);

/// Upper end of the doubling; short, because a restarted process should be found again soon.
pub(crate) const DIAL_BACKOFF_MAX: Duration = Duration::from_secs(2);

/// An HTTP/2 PING goes out this often on a connection that carries calls, so a half-open one
/// is noticed. Servers that gRPC wrote end connections with more than one in five minutes (gRFC
/// A8); the rest is for PINGs that the network brings closer together.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(310);

/// The same between members of a cluster, who do not mind, and while no call is in flight too.
pub const MEMBER_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);

/// A PING that is not answered within this time ends the connection.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection that takes no more is still read. What the peer has said before is at hand
/// by then as a rule; this bounds streams that neither take nor give nor end.
pub(crate) const READ_AFTER_WRITE_ERROR_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection that carried nothing for this long is closed.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// HTTP/2 window of one stream, for servers that accept connections of peers.
pub const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;

/// HTTP/2 window of one connection. It must exceed the stream window times the streams in use, or a
/// few streams whose callers do not read hold up every other call to that peer; 1 GiB takes it out
/// of play.
pub const CONNECTION_WINDOW_BYTES: u32 = 1 << 30;

/// Bytes of responses that one connection to a peer may hold unread: all its streams share this, as
/// one window each. As much as a listener holds of unread answers ([`UNREAD_BYTES`]), so a caller
/// that does not read fills no more memory with answers of a peer than with those of this process.
pub(crate) const PEER_RESPONSES_BYTES: usize = UNREAD_BYTES;

/// Smallest window of a response: the initial one (RFC 9113 section 6.9.2). A smaller one would
/// cost a WINDOW_UPDATE for every few frames.
pub(crate) const RESPONSE_WINDOW_BYTES_MIN: usize = 64 * 1024 - 1;

/// Largest window of a response. A larger one helps only over paths that hold more than a megabyte.
pub(crate) const RESPONSE_WINDOW_BYTES_MAX: usize = STREAM_WINDOW_BYTES as usize;

/// Bytes that h2 buffers for one outgoing stream before its sender has to wait.
pub(crate) const SEND_BUFFER_BYTES: usize = 256 * 1024;

/// Bytes of small writes that are gathered into one: what one segment carries on loopback and what
/// a network card splits by itself. It is memory per connection.
pub(crate) const CORK_BYTES: usize = 64 * 1024;

/// Largest write that is gathered. Beyond it, copying costs as much as the system call that it
/// saves.
pub(crate) const CORK_COPY_BYTES_MAX: usize = 16 * 1024;

/// Bytes of a header list as HTTP/2 counts them (RFC 9113 section 6.5.2), of a request and of a
/// response: what hyper, tonic and gRPC's C core take by default.
pub const HEADER_LIST_BYTES: u32 = 16 * 1024;

/// Smallest configurable bound: the ordinary headers of gRPC, and a trace context with its baggage.
pub const HEADER_LIST_BYTES_MIN: u32 = 2 * 1024;

/// Largest configurable bound. More than that is no metadata, it is a message.
pub const HEADER_LIST_BYTES_LIMIT: u32 = 256 * 1024;

/// What forwarding may add to the header list of a request: the hop header (555 bytes), the longest
/// key in base64 (5,511), the authority of the owner (303), the remaining time, the number of
/// attempts and the wish for an explanation (169). They take the place of one another when a
/// request is forwarded twice.
pub const FORWARD_HEADERS_BYTES: u32 = 8 * 1024;

/// Header list up to which h2 gives a response to us. It cuts longer trailers short without a word,
/// and ends the connection, with the calls of all its callers, at four times this size. As much as
/// the largest window of a response, and more than any bound that may be configured.
pub(crate) const RECEIVED_HEADER_LIST_BYTES: u32 = STREAM_WINDOW_BYTES;

/// Longest text that is left of the status of a response whose header list is too large.
pub(crate) const CUT_MESSAGE_BYTES: usize = 1024;

/// Streams that may be opened before the peer's SETTINGS arrived: what RFC 9113 section 6.5.2
/// recommends as a minimum.
pub(crate) const STREAMS_BEFORE_SETTINGS: usize = 100;

/// Unary calls in flight to one peer. A peer that answers 1,024 calls more slowly than they come is
/// not helped by more.
pub const UNARY_PER_PEER: usize = 1024;

/// Streams in flight to one peer. Each may hold a window of memory, so this bounds it to a quarter
/// GiB.
pub const STREAMS_PER_PEER: usize = 256;

/// Largest configurable limit of calls to one peer.
pub const PER_PEER_LIMIT: usize = 65_536;

/// Calls of routed methods in flight in one process, handled and forwarded together; the figure of
/// ringpop-node.
pub const IN_FLIGHT: usize = 5000;

/// Largest configurable number of calls in flight.
pub const IN_FLIGHT_LIMIT: usize = 1 << 20;

/// Tokens of the retry budget of one destination. Half of them may be spent in a burst: as many as
/// one peer can have unary calls in flight, so a peer that dies breaks no more calls than may
/// be sent again.
pub const RETRY_TOKENS: u32 = 2 * UNARY_PER_PEER as u32;

/// Largest configurable number of tokens.
pub const RETRY_TOKENS_LIMIT: u32 = 1_000_000;

/// Calls that may have been given up on one connection without a sign that the peer has seen that:
/// half of the 20 at which hyper and tonic end a connection by default.
pub(crate) const RESETS_UNSEEN_MAX: usize = 10;

/// How long a call that was given up is not reset, while the peer may not have seen others. By then
/// it has taken the stream, or is beyond help.
pub(crate) const RESET_DELAY_MAX: Duration = Duration::from_secs(5);

/// Streams that h2 remembers after they were reset, at about half a kilobyte each; a connection on
/// which half as many calls were given up is replaced by another one.
pub(crate) const RESETS_PER_CONNECTION: usize = 8 * 1024;

/// How long h2 remembers them: longer than any owner that still lives goes on answering.
pub(crate) const RESETS_REMEMBERED_FOR: Duration = Duration::from_secs(30);

/// Frames for streams that h2 has forgotten after which it ends a connection. It bounds the answers
/// to them that a peer which does not read has us keep.
pub(crate) const LATE_FRAMES_MAX: usize = 64 * 1024;

/// Streams that a member's server keeps after they were reset before it took them: as many as one
/// other member can have in flight on one connection.
pub const PENDING_RESETS_MAX: usize = UNARY_PER_PEER;

/// Frames for streams that it has forgotten after which a member's server ends a connection.
pub const SERVER_LATE_FRAMES_MAX: usize = 16 * 1024;

/// A call that waits for its turn on a connection looks this often whether the connection still
/// takes calls; as a rule it is woken before.
pub(crate) const TURN_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Addresses of one name that are dialled. RFC 8305 has no figure; resolvers rarely give more than
/// a handful.
pub(crate) const DIAL_ADDRESSES_MAX: usize = 16;

/// Names that are looked up at a time. Each takes a thread until the resolver answers.
pub(crate) const LOOKUPS_MAX: usize = 512;

/// An answer of the resolver that came too late for the dial that asked is given to the next one
/// within this time: less than most names live, and more than a dial that failed is put off for.
pub(crate) const LOOKUP_KEPT_MAX: Duration = Duration::from_secs(10);

/// After this time the next address of a name is dialled as well (RFC 8305 section 8).
pub(crate) const DIAL_STAGGER: Duration = Duration::from_millis(250);

/// Shortest such time, when many addresses share a short limit (RFC 8305 section 8).
pub(crate) const DIAL_STAGGER_MIN: Duration = Duration::from_millis(10);

/// Peers that are remembered, by the pool and by the retry budgets: more than a cluster has. Above
/// it, peers without a connection are forgotten first.
pub const PEERS_MAX: usize = 16 * 1024;

/// Bytes of a direct request or reply; what gRPC servers take by default.
#[cfg(feature = "direct")]
pub const DIRECT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Keys of one direct request. Each is looked up by the receiver, so this bounds that work to well
/// under a millisecond; more keys of one owner are sent as several requests.
#[cfg(feature = "direct")]
pub const DIRECT_KEYS_MAX: usize = 1024;

/// Groups of keys that one call for many keys has under way at a time.
#[cfg(feature = "direct")]
pub(crate) const DIRECT_GROUPS_IN_FLIGHT: usize = 64;

/// How often keys that diverged are grouped again. Rings agree again within some protocol periods.
#[cfg(feature = "direct")]
pub(crate) const DIVERGED_ROUNDS_MAX: u32 = 3;

/// How long keys that diverged wait for the rings to agree, unless the ring changes before: a
/// protocol period.
#[cfg(feature = "direct")]
pub(crate) const DIVERGED_WAIT: Duration = Duration::from_millis(200);

/// How often the files of certificates are looked at. Tools renew certificates days before they run
/// out.
#[cfg(feature = "tls")]
pub const TLS_RELOAD_INTERVAL: Duration = Duration::from_secs(10);

/// Shortest interval; reading files more often helps nobody.
#[cfg(feature = "tls")]
pub(crate) const TLS_RELOAD_INTERVAL_MIN: Duration = Duration::from_millis(100);

/// Largest file of certificates: a chain of a few, or the roots of a large organisation.
#[cfg(feature = "tls")]
pub(crate) const TLS_FILE_BYTES_MAX: u64 = 1 << 20;

/// How long a caller may take for its handshake; over any network it is a few round trips.
#[cfg(feature = "tls")]
pub(crate) const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Handshakes that run at the same time. Each costs about a millisecond of computing and 64 KiB;
/// when one more comes, the oldest one ends of the address that has most of them.
#[cfg(feature = "tls")]
pub(crate) const TLS_HANDSHAKES_MAX: usize = 256;

/// Organisations, and alternative names, that are read from one certificate. Certificates of
/// people and services have a handful.
#[cfg(feature = "tls")]
pub(crate) const CERTIFICATE_NAMES_MAX: usize = 64;

/// How long nothing is accepted after the operating system refused to for the first time, because
/// it will refuse again at once. Each further refusal in a row doubles the pause.
pub(crate) const ACCEPT_PAUSE_MIN: Duration = Duration::from_millis(10);

/// Longest such pause: what a caller waits at most after descriptors are free again.
pub(crate) const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long an accepted connection may send nothing at all. A client of HTTP/2 sends its preface
/// with the first packet (RFC 9113, section 3.4), so this is for packets that are lost and
/// sent again.
pub(crate) const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(10);

/// Shortest time between two log lines of one kind that any peer can cause.
pub(crate) const ACCEPT_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Streams that may be open on one accepted connection: as many as a member sends to a peer by
/// default ([`UNARY_PER_PEER`]), so members never wait for each other's limit. An idle stream
/// costs 9 KiB.
pub const STREAMS_PER_CONNECTION: u32 = UNARY_PER_PEER as u32;

/// Connections of one address. A sidecar or a translated network brings many clients under one
/// address; an idle connection costs 17 KiB.
pub const CONNECTIONS_PER_ADDRESS: usize = 1024;

/// Control frames in a row. Clients that measure the path send a few for each burst of data.
pub const CONTROL_FRAMES: u32 = 1000;

/// Fewest control frames: what ordinary clients send while a connection opens.
pub(crate) const CONTROL_FRAMES_MIN: u64 = 100;

/// Most control frames: a second of a core.
pub(crate) const CONTROL_FRAMES_LIMIT: u64 = 1_000_000;

/// Calls that were begun and of whose body nothing has come. They cost 9 KiB each, and an honest
/// one is one for a round trip.
pub const HALF_OPEN_CALLS: usize = 4096;

/// How long a handler waits for its caller while nothing goes either way. Proxies allow five
/// minutes as a rule.
pub const UPLOAD_IDLE_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// How long the first message of a routed call may take, beyond which it is not worth a place among
/// the calls in flight.
pub const FIRST_MESSAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a unary call may take whose caller sets no deadline. A caller that wants to wait longer
/// sets one.
pub const TIMEOUT_MAX_DEFAULT: Duration = Duration::from_secs(10 * 60);

/// How long an answer waits to be read on. A reader that pauses for longer is gone, or wants a
/// stream of smaller parts.
pub const UNREAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Shortest configurable time of waiting for a caller; below it, ordinary networks look idle.
pub(crate) const IDLE_MIN: Duration = Duration::from_millis(10);

/// Longest configurable time of waiting for a caller.
pub(crate) const IDLE_LIMIT: Duration = Duration::from_secs(24 * 3600);

/// Bytes of unread answers of one listener: many ordinary answers, and little of an ordinary
/// machine.
pub const UNREAD_BYTES: usize = 64 * 1024 * 1024;

/// Smallest configurable number of bytes of unread answers: less than one piece for each of a few
/// calls helps nobody.
pub(crate) const UNREAD_BYTES_MIN: u64 = 64 * 1024;

/// An answer that was read a moment ago is being read: several round trips of any network.
pub(crate) const UNREAD_GRACE: Duration = Duration::from_secs(1);

/// Answers of one connection that were freed because nobody read them, and whose end is not read
/// either, beyond which no further call of it is served: it would be work for nobody. An honest
/// caller reads such an end within a round trip.
pub(crate) const FREED_UNREAD_MAX: usize = 64;

/// Largest piece of an answer that HTTP/2 is given: a DATA frame of the default size. It holds one
/// for each stream whose peer gives no room.
pub(crate) const ANSWER_PIECE_BYTES: usize = 16 * 1024;

/// The first piece of a large answer. A caller that reads asks for the next one at once.
pub(crate) const ANSWER_PIECE_BYTES_FIRST: usize = 4 * 1024;

/// Smallest frame that is counted until it is written. A smaller one costs less than the counting.
pub(crate) const COUNTED_FRAME_BYTES_MIN: usize = 1024;

/// Bytes of answers that HTTP/2 holds of one connection. More than a piece for each of its streams,
/// so that those that are not read keep no other from being written.
pub(crate) const SEND_BUFFER_PER_CONNECTION: usize =
    2 * STREAMS_PER_CONNECTION as usize * ANSWER_PIECE_BYTES;

/// Part of the places, as a divisor, that there are beyond a limit for callers who hold few of
/// them: an address. A connection of an address that holds many gets half as many. They cost
/// nothing until one caller has taken all others.
pub(crate) const RESERVE_PART: usize = 8;

/// Part of the places, as a divisor, that counts as few: 78 of the 5,000 of a process, 16 of the
/// 1,024 to one peer.
pub(crate) const FEW_PART: usize = 64;

/// Calls that are given up at a time when places are needed: looking for them costs the same for
/// one and for many.
pub(crate) const SHED_BATCH: usize = 64;

/// How often calls that wait for their callers are looked at.
pub(crate) const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// How often they are looked at when calls begin to wait.
pub(crate) const SWEEP_INTERVAL_MIN: Duration = Duration::from_millis(100);

/// Frames of a request up to this length are joined to the one before: by itself, each would keep
/// its place in a list and the memory that it was received in.
pub(crate) const JOINED_FRAME_BYTES_MAX: usize = 4 * 1024;

/// Units of a task's budget, of which tokio gives 128 to each turn, that a read of a connection may
/// take. With a few for writes.
pub(crate) const READ_SHARES: u32 = 112;

/// Writes that a connection may still make when its reads have taken all of the budget of a turn.
/// Each is up to one buffer of HTTP/2; more wait for the next turn.
pub(crate) const WRITES_PER_READ: u8 = 16;

/// Units that a HEADERS frame takes: a connection begins 14 calls in one turn of its task. Each
/// becomes a task that may compute for a millisecond; a call of somebody else waits behind those of
/// one turn, not behind all that fit into one read.
pub(crate) const HEADERS_SHARE: u32 = 8;

/// Units that a control frame takes, or a small frame of data. Each takes about a microsecond.
pub(crate) const CONTROL_FRAME_SHARE: u32 = 1;

/// Frames of data below this size cost more than their bytes; ordinary ones take of the budget what
/// their read takes.
pub(crate) const SMALL_FRAME_BYTES: usize = 256;

/// Resets of streams for which no response has paid, before a connection is read more slowly: all
/// streams of one connection may be given up together.
pub(crate) const RESETS_UNPAID_MAX: i64 = STREAMS_PER_CONNECTION as i64;

/// Resets that time pays for. A stream that is reset costs about 20 us, so they take 2 % of a
/// core.
pub(crate) const RESETS_PER_SECOND: i64 = 1000;

/// Bytes of requests that nobody can use yet: many ordinary uploads. Decoders reserve room
/// for a whole message when it begins, so twice as much may be taken.
pub const REQUEST_BYTES: usize = 48 * 1024 * 1024;

/// Smallest configurable number of such bytes: the window of one stream.
pub(crate) const REQUEST_BYTES_MIN: u64 = STREAM_WINDOW_BYTES as u64;

/// How long a connection is not read while far too many bytes of requests wait for their handlers:
/// a few round trips.
pub(crate) const REQUEST_PAUSE: Duration = Duration::from_millis(10);

/// What a frame of data costs at least while HTTP/2 holds it: h2's own figure.
pub(crate) const HELD_FRAME_BYTES_MIN: usize = 256;

/// Streams of one connection whose requests are counted: as many as h2 may hold, with those that it
/// refuses.
pub(crate) const STREAMS_COUNTED_MAX: usize = 64 * 1024;

/// Pieces in which a message may come whatever its length. A client whose every write becomes a
/// frame needs far fewer.
pub(crate) const MESSAGE_PIECES_MAX: usize = 1024;

/// Average size of the pieces of a long message. Clients send frames of kilobytes.
pub(crate) const MESSAGE_PIECE_BYTES_MIN: usize = 64;
