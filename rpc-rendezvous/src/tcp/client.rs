//! [`TcpStore`]: a client of a [`TcpStoreServer`](super::TcpStoreServer).

use std::time::Duration;

use parking_lot::Mutex;
use rpc_core::{BoxFuture, Store, StoreError};
use tokio::time::Instant;

use super::access::Access;
use super::codec::{Instance, REPLY_BYTES_MAX, Reply, Request, ServerHello, body_bytes};
use super::dial::Place;
use super::frame::{self, FRAME_TIME, Lost};
use super::stream::Stream;
use crate::memory::FOREVER;
use crate::security::StoreSecurity;

/// How long an operation tries to get a lost connection back.
const RECONNECT_TIME: Duration = Duration::from_secs(3);
/// As long does even a wait that ends earlier.
const RECONNECT_TIME_MIN: Duration = Duration::from_millis(500);
/// Connections kept for the next operation. Others are closed after use.
const IDLE_MAX: usize = 2;

/// A client of a [`TcpStoreServer`](crate::TcpStoreServer).
///
/// Operations may overlap; each one that is under way has a connection of its own. A connection that is lost
/// is made again, and the operation repeated if that changes nothing: an [`add`](Store::add) whose reply was
/// lost is an error instead. When another server has taken the place of the first one, the keys are gone; one
/// operation says so ([`StoreError::Unreachable`]), and later ones use the new server.
#[derive(Debug)]
pub struct TcpStore {
    place: Place,
    access: Access,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// At most [`IDLE_MAX`].
    idle: Vec<Stream>,
    instance: Instance,
}

impl TcpStore {
    /// Connects to the store at `addr` (`host:port`), and tries again for `timeout` while it is not there.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`] after `timeout`; [`StoreError::NotAStore`] if something else answers, as
    /// soon as that is certain; [`StoreError::Full`] if the server takes no more connections.
    ///
    /// # Cancel safety
    /// Dropping the future closes what it had opened.
    pub async fn connect(addr: &str, timeout: Duration) -> Result<Self, StoreError> {
        Self::connect_secured(addr, timeout, &StoreSecurity::Open).await
    }

    /// As [`connect`](Self::connect), to a store that not everybody may use. The host in `addr` decides how the two
    /// talk ([`StoreSecurity`]), and the store's certificate has to be good for it.
    ///
    /// # Errors
    /// As `connect`, and [`StoreError::Denied`] if the store and this process do not trust each other, as soon as
    /// that is certain.
    ///
    /// # Cancel safety
    /// As `connect`.
    pub async fn connect_secured(
        addr: &str,
        timeout: Duration,
        security: &StoreSecurity,
    ) -> Result<Self, StoreError> {
        let place = Place::At(addr.to_owned());
        Self::connect_place(place, security, Instant::now() + timeout.min(FOREVER)).await
    }

    pub(crate) async fn connect_place(
        place: Place,
        security: &StoreSecurity,
        deadline: Instant,
    ) -> Result<Self, StoreError> {
        let access = place.access(security)?;
        let (stream, hello) = place.dial(&access, deadline).await?;
        Ok(Self::over(place, access, stream, &hello))
    }

    /// A client that goes on with a connection that was greeted.
    pub(crate) fn over(place: Place, access: Access, stream: Stream, hello: &ServerHello) -> Self {
        Self { place, access, state: Mutex::new(State { idle: vec![stream], instance: hello.instance }) }
    }

    /// Sends `request` and returns its reply, over a new connection if need be. A wait ends at `deadline`,
    /// other requests ignore it.
    async fn call(&self, request: &mut Request, deadline: Instant) -> Result<Reply, StoreError> {
        let mut reconnect_until = None;
        loop {
            let mut reply_within = FRAME_TIME;
            if let Request::Wait { timeout_ms, .. } = request {
                let left = deadline.saturating_duration_since(Instant::now());
                *timeout_ms = left.as_micros().div_ceil(1000).try_into().unwrap_or(u64::MAX);
                reply_within += left;
            }
            let frame = request.to_frame()?;
            let mut stream = match self.idle() {
                Some(stream) => stream,
                None => self.reconnect(reconnect_until).await?,
            };
            let lost = match exchange(&mut stream, &frame, reply_within).await {
                Ok(reply) => {
                    self.keep(stream);
                    return Ok(reply);
                }
                Err(lost) => lost,
            };
            let now = Instant::now();
            let mut until = now + RECONNECT_TIME;
            if let Request::Wait { .. } = request {
                until = until.min(deadline.max(now + RECONNECT_TIME_MIN));
            }
            let until = *reconnect_until.get_or_insert(until);
            let repeatable = !matches!(request, Request::Add { .. });
            if !repeatable || matches!(lost, Lost::Malformed(_)) || now >= until {
                return Err(self.unreachable(&lost));
            }
            tracing::debug!(address = self.place.address(), %lost, "lost the connection to the store; connecting again");
        }
    }

    /// A connection that is still open.
    fn idle(&self) -> Option<Stream> {
        let mut state = self.state.lock();
        std::iter::from_fn(|| state.idle.pop()).find(Stream::is_quiet)
    }

    fn keep(&self, stream: Stream) {
        let mut state = self.state.lock();
        if state.idle.len() < IDLE_MAX {
            state.idle.push(stream);
        }
    }

    async fn reconnect(&self, until: Option<Instant>) -> Result<Stream, StoreError> {
        let until = until.unwrap_or_else(|| Instant::now() + RECONNECT_TIME);
        let (stream, hello) = self.place.dial(&self.access, until).await?;
        let mut state = self.state.lock();
        if state.instance == hello.instance {
            return Ok(stream);
        }
        state.instance = hello.instance;
        state.idle = vec![stream];
        let cause = "another server has taken its place, and the keys are gone".into();
        Err(StoreError::Unreachable { address: self.place.address(), cause })
    }

    fn unreachable(&self, lost: &Lost) -> StoreError {
        StoreError::Unreachable { address: self.place.address(), cause: lost.to_string() }
    }

    /// [`call`](Self::call), with the replies that are errors as errors.
    async fn ask(&self, mut request: Request, timeout: Duration) -> Result<Reply, StoreError> {
        match self.call(&mut request, Instant::now() + timeout.min(FOREVER)).await? {
            Reply::TimedOut { missing } => Err(StoreError::TimedOut { after: timeout, missing }),
            Reply::NotANumber { key } => Err(StoreError::NotANumber { key }),
            Reply::Full { bound, limit } => Err(StoreError::Full { bound, limit }),
            good => Ok(good),
        }
    }

    async fn quick(&self, request: Request) -> Result<Reply, StoreError> {
        self.ask(request, Duration::ZERO).await
    }

    /// A reply to some other request.
    fn mixed_up(&self) -> StoreError {
        let cause = "it answered another question than the one asked".into();
        StoreError::NotAStore { address: self.place.address(), cause }
    }
}

impl Store for TcpStore {
    fn set<'a>(&'a self, key: &'a str, value: &'a [u8]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            match self.quick(Request::Set { key: key.into(), value: value.into() }).await? {
                Reply::Done => Ok(()),
                _ => Err(self.mixed_up()),
            }
        })
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        Box::pin(async move {
            match self.quick(Request::Get { key: key.into() }).await? {
                Reply::NoValue => Ok(None),
                Reply::Value(value) => Ok(Some(value)),
                _ => Err(self.mixed_up()),
            }
        })
    }

    fn wait<'a>(
        &'a self,
        keys: &'a [String],
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Vec<Vec<u8>>, StoreError>> {
        Box::pin(async move {
            match self.ask(Request::Wait { timeout_ms: 0, keys: keys.to_vec() }, timeout).await? {
                Reply::Values(values) if values.len() == keys.len() => Ok(values),
                _ => Err(self.mixed_up()),
            }
        })
    }

    fn add<'a>(&'a self, key: &'a str, delta: i64) -> BoxFuture<'a, Result<i64, StoreError>> {
        Box::pin(async move {
            match self.quick(Request::Add { key: key.into(), delta }).await? {
                Reply::Sum(sum) => Ok(sum),
                _ => Err(self.mixed_up()),
            }
        })
    }

    fn compare_set<'a>(
        &'a self,
        key: &'a str,
        expected: Option<&'a [u8]>,
        new: &'a [u8],
    ) -> BoxFuture<'a, Result<Vec<u8>, StoreError>> {
        Box::pin(async move {
            let expected = expected.map(<[u8]>::to_vec);
            match self.quick(Request::CompareSet { key: key.into(), expected, new: new.into() }).await? {
                Reply::Value(value) => Ok(value),
                _ => Err(self.mixed_up()),
            }
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            match self.quick(Request::Delete { key: key.into() }).await? {
                Reply::Deleted(was_there) => Ok(was_there),
                _ => Err(self.mixed_up()),
            }
        })
    }
}

async fn exchange(stream: &mut Stream, frame: &[u8], reply_within: Duration) -> Result<Reply, Lost> {
    frame::write(stream, frame).await?;
    let head = match tokio::time::timeout(reply_within, frame::read_head(stream)).await {
        Ok(head) => head?,
        Err(_) => return Err(Lost::Slow),
    };
    let body = frame::read_body(stream, body_bytes(head, REPLY_BYTES_MAX)?).await?;
    Ok(Reply::decode(&body)?)
}
