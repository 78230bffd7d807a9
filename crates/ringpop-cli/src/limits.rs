//! Every limit and default of the command, with how the number was chosen.

use std::time::Duration;

/// The variable of the environment that says where peers come from when no option does: URLs as
/// `--discovery` takes them, separated by blanks.
pub(crate) const DISCOVERY_VARIABLE: &str = "RINGPOP_DISCOVERY";

/// How the variables of the environment begin that set options of `node`.
pub(crate) const SETTING_PREFIX: &str = "RINGPOP_";

/// Largest file of settings in bytes: every option with a long list of peers.
pub(crate) const SETTINGS_BYTES_MAX: u64 = 1024 * 1024;

/// How like an unknown name a known one must be to be offered, from 0 to 1, by the measure of Jaro
/// and Winkler: a letter or two that are wrong, missing or swapped.
pub(crate) const NAME_LIKENESS_MIN: f64 = 0.8;

/// Longest key of the key-value service in bytes. Keys are names; a kilobyte is a long one.
pub(crate) const KEY_BYTES_MAX: usize = 1024;

/// Largest value of the key-value service in bytes. Well below the 4 MiB that a gRPC message may
/// have.
pub(crate) const VALUE_BYTES_MAX: usize = 1024 * 1024;

/// Most entries of one member's store: what a demonstration needs, with a tenth of a gigabyte of
/// keys at worst.
pub(crate) const STORE_ENTRIES_MAX: usize = 100_000;

/// Most bytes of keys and values in one member's store: a cluster of the default size fits the
/// memory of a small machine.
pub(crate) const STORE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// HTTP requests that one member serves at once. Each may hold a value of [`VALUE_BYTES_MAX`].
pub(crate) const HTTP_REQUESTS_MAX: usize = 256;

/// HTTP requests whose body is still to come. Each may hold a value of [`VALUE_BYTES_MAX`]; the
/// oldest one gives way.
pub(crate) const HTTP_UPLOADS_MAX: usize = 64;

/// How long the head of an HTTP request may take, and a connection be without one. Shorter than the
/// whole request may.
pub(crate) const HTTP_HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes that HTTP/1 buffers for one connection; heads are far smaller.
pub(crate) const HTTP_BUFFER_BYTES: usize = 64 * 1024;

/// How long a name given to `--listen` may take to resolve.
pub(crate) const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one HTTP request may take, its body and all attempts at owners included.
pub(crate) const HTTP_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one attempt at an owner may take by default: the time of ringpop-go. The store answers
/// in well under a millisecond.
pub(crate) const ATTEMPT_TIMEOUT: &str = "3s";

/// How often what was measured is taken into histograms, as often as scrapes usually come.
pub(crate) const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// How long HTTP requests that are under way may take when the member stops.
pub(crate) const HTTP_DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a member may take to leave the ring and to finish the requests it has.
pub(crate) const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long `node` looks for peers by default. Long enough for machines that start together, short
/// enough for a person who mistyped an address.
pub(crate) const JOIN_TIMEOUT: &str = "30s";

/// How long `node` waits for peers that are not listed yet before it starts alone, by default: as
/// the library does.
pub(crate) const ALONE_AFTER: &str = "3s";

/// How long `node` serves everything after its stop has begun, by default: as the library does.
pub(crate) const LAME_DUCK: &str = "1s";

/// Most members that `node` waits for: as many as clusters are designed for.
pub(crate) const EXPECTED_MAX: u32 = 10_000;

/// How long `node` waits for the members that it expects, by default: processes that are started
/// together are there by then, and those that deploy them are still patient.
pub(crate) const EXPECT_WITHIN: &str = "30s";

/// Longest time for which `node` serves everything after its stop has begun: load balancers that
/// take longer to drop a backend are rare, and a stop that takes longer is killed.
pub(crate) const LAME_DUCK_MAX: Duration = Duration::from_secs(300);

/// Characters of a word of the command line that a message repeats.
pub(crate) const ARGUMENT_CHARS_SHOWN: usize = 120;

/// How long commands wait for a connection.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long commands wait for the whole answer, the connection included, unless it takes longer by
/// its nature.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(4);

/// How long commands wait for which a member talks to others first, somewhat longer than the
/// member itself does at most.
pub(crate) const CLUSTER_TIMEOUT: Duration = Duration::from_secs(65);

/// Latest time that is shown as a date: the end of the year 9999, beyond which there is no form for
/// dates. Times come from other processes.
pub(crate) const SHOWN_UNIX_MS_MAX: u64 = 253_402_300_799_999;

/// How often `heal` heals by default, as in ringpop-admin.
pub(crate) const HEAL_TRIES: u32 = 10;

/// The pause between two healings, as in ringpop-admin: members refute meanwhile.
pub(crate) const HEAL_PAUSE: Duration = Duration::from_secs(1);

/// Largest status that is taken from a member in bytes: 100,000 members, the most that a member
/// remembers, with labels.
pub(crate) const STATUS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Most owners that `lookup` asks for, and `ring pick` finds: as many as a member tells.
pub(crate) const LOOKUP_OWNERS_MAX: u32 = 64;

/// For how long `evict` evicts by default: a person finds out what is wrong with a member.
pub(crate) const EVICTION_TIME: &str = "1h";

/// Members that are asked at once when all of a cluster are: 200 members are through in a few
/// turns, and a machine is not flooded with connections.
pub(crate) const CRAWL_CONCURRENCY: usize = 64;

/// How long each of all members may take to answer, its connection included. A member that is
/// stopped costs this time once, as all that are asked together wait beside each other.
pub(crate) const CRAWL_ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Most members that are asked when all of a cluster are: as many as clusters are designed for.
pub(crate) const CRAWL_MEMBERS_MAX: usize = 10_000;

/// How often `--watch` asks when no period is given.
pub(crate) const WATCH_PERIOD: &str = "2s";

/// How long `wait` waits by default: longer than the members of a deployment take to start.
pub(crate) const WAIT_TIMEOUT: &str = "60s";

/// How often `wait` asks.
pub(crate) const WAIT_PERIOD: Duration = Duration::from_millis(200);

/// Most questions that `ping` asks one member.
pub(crate) const PINGS_MAX: u32 = 1000;

/// After how long a command that is not done says how far it is.
pub(crate) const PROGRESS_AFTER: Duration = Duration::from_secs(1);

/// Largest file of keys that `lookup` reads in bytes: as for the tokens of `ring pick`.
pub(crate) const KEYS_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Largest file of `dump` that `diff` reads in bytes: some thousand members with the views of all.
pub(crate) const DUMP_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// The shortest and the longest time between two questions of `top`.
pub(crate) const TOP_PERIOD_MIN: Duration = Duration::from_millis(250);

/// See [`TOP_PERIOD_MIN`].
pub(crate) const TOP_PERIOD_MAX: Duration = Duration::from_secs(60);

/// Hot keys that `top` shows of all members together, and asks each for.
pub(crate) const TOP_HOT_KEYS_MAX: usize = 10;

/// Lines of hot keys that `top` shows at most where it shows members too.
pub(crate) const TOP_HOT_KEYS_LINES: u16 = 6;

/// The smallest terminal in which `top` shows something that can be read.
pub(crate) const TOP_COLUMNS_MIN: u16 = 40;

/// See [`TOP_COLUMNS_MIN`].
pub(crate) const TOP_LINES_MIN: u16 = 5;

/// Largest script of `dev` in bytes: thousands of steps.
pub(crate) const SCRIPT_BYTES_MAX: u64 = 1024 * 1024;

/// How long a script waits for what it expects, when it does not say: failures of a small cluster
/// are known within 10 s.
pub(crate) const SCRIPT_WITHIN: Duration = Duration::from_secs(30);

/// Members that `dev` starts when nobody says how many: enough to have two on each side of a
/// partition and one more.
pub(crate) const DEV_NODES: u16 = 5;

/// Requests a second that a key of `dev` begins with.
pub(crate) const DEV_LOAD_RATE: u32 = 100;

/// Most requests a second of `dev`: what one process can send beside the cluster on a machine.
pub(crate) const DEV_LOAD_RATE_MAX: u32 = 10_000;

/// Requests of `dev` in flight; more are left out, because the members do not keep up.
pub(crate) const DEV_LOAD_IN_FLIGHT_MAX: usize = 1000;

/// Keys that the requests of `dev` are about: each member owns some.
pub(crate) const DEV_LOAD_KEYS: usize = 1000;

/// How long a request of `dev` may take: longer than a member takes to find another owner.
pub(crate) const DEV_LOAD_TIMEOUT: Duration = Duration::from_secs(5);

/// For how long a key of `dev` evicts a member: long enough to look.
pub(crate) const DEV_EVICTION: Duration = Duration::from_secs(60);

/// Orders to one process that wait: it takes them at once, unless it is suspended.
pub(crate) const DEV_ORDERS_MAX: usize = 64;

/// Members that `dev` starts at most: a process each on one machine.
pub(crate) const DEV_NODES_MAX: u16 = 64;

/// How far the HTTP ports of `dev` lie above the gRPC ports. Scripts compute them from it.
pub(crate) const DEV_HTTP_OFFSET: u16 = 1000;

/// Bytes of the secret in the URL of the dashboard of `dev`: nobody guesses 128 bits.
pub(crate) const DEV_TOKEN_BYTES: usize = 16;

/// Largest request of the dashboard of `dev` in bytes: the addresses of [`DEV_NODES_MAX`] members
/// several times over.
pub(crate) const DEV_REQUEST_BYTES_MAX: usize = 16 * 1024;

/// Requests of the dashboard of `dev` that wait: they are taken at once, and a person has one.
pub(crate) const DEV_REQUESTS_MAX: usize = 64;

/// Messages that the dashboard of `dev` shows when it is opened: a screen of them.
pub(crate) const DEV_MESSAGES_MAX: usize = 50;

/// How often `dev` asks each member for its status: as often as members probe each other.
pub(crate) const DEV_POLL_INTERVAL: Duration = Duration::from_millis(200);

/// How long `dev` waits for one status. A member on the same machine that takes longer is stuck.
pub(crate) const DEV_POLL_TIMEOUT: Duration = Duration::from_secs(1);

/// How long `dev` waits for a member that was told to stop before it kills it: more than the member
/// itself takes at most.
pub(crate) const DEV_STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// Updates of all members that wait to be shown. A member sends a handful each second.
pub(crate) const DEV_UPDATES_MAX: usize = 1024;

/// Longest line that a member takes from its standard input in bytes: a partition of
/// [`DEV_NODES_MAX`] members several times over.
pub(crate) const STDIN_LINE_BYTES_MAX: u64 = 16 * 1024;

/// Longest line that is taken from the standard error of a member in bytes.
pub(crate) const DEV_LINE_BYTES_MAX: usize = 4096;

/// Most names in one certificate of `cert`: a member has a handful.
pub(crate) const CERT_NAMES_MAX: usize = 32;

/// Longest life of a certificate of `cert` in days. Those are for trying, and ten years are more
/// than any trial.
pub(crate) const CERT_DAYS_MAX: u16 = 3650;
