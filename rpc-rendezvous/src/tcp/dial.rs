//! Finding a store: one attempt, and attempts until a deadline.

use std::time::Duration;

use rpc_core::{Denial, StoreError};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::access::Access;
use super::codec::{MAGIC, Malformed, SERVER_HELLO_BYTES, ServerHello, client_hello};
use super::frame::{self, Lost};
use super::stream::Stream;
use super::tls;
use crate::launch::{host_of, host_port};
use crate::open::Candidates;
use crate::security::StoreSecurity;

/// Between two attempts to connect: first and longest.
const RETRY_PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(250));
/// One attempt to connect and to be greeted takes at most this.
const ATTEMPT_TIME: Duration = Duration::from_secs(2);

/// Where a store is, or has to be looked for.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// At one address.
    At(String),
    /// At one of several.
    Beside(Candidates),
}

impl Place {
    pub(crate) fn at(host: &str, port: u16) -> Self {
        Self::At(host_port(host, port))
    }

    /// For messages.
    pub(crate) fn address(&self) -> String {
        match self {
            Self::At(address) => address.clone(),
            Self::Beside(candidates) => candidates.address(),
        }
    }

    /// Connects, and tries again until `deadline` while nobody is there.
    pub(crate) async fn dial(
        &self,
        access: &Access,
        deadline: Instant,
    ) -> Result<(Stream, ServerHello), StoreError> {
        match self {
            Self::At(address) => dial(address, access, deadline).await,
            Self::Beside(candidates) => candidates.find(access, deadline).await,
        }
    }

    /// How to enter the store here.
    pub(crate) fn access(&self, security: &StoreSecurity) -> Result<Access, StoreError> {
        let host = match self {
            Self::At(address) => host_of(address),
            Self::Beside(candidates) => &candidates.host,
        };
        Access::to(host, security).map_err(|cause| StoreError::Denied { address: self.address(), cause })
    }
}

async fn dial(
    address: &str,
    access: &Access,
    deadline: Instant,
) -> Result<(Stream, ServerHello), StoreError> {
    let mut patience = Patience::default();
    let mut pause = RETRY_PAUSE.0;
    let mut earlier = None;
    loop {
        let found = knock(address, access, deadline).await;
        let failure = match (patience.judge(address, &found)?, found) {
            (None, Knock::Store(stream, hello)) => return Ok((stream, hello)),
            (failure, _) => failure,
        };
        // The deadline cuts the last attempt short; the one before knew more.
        let cut_short = Instant::now() >= deadline;
        let known = if cut_short { earlier.or(failure) } else { failure };
        match known {
            Some(known) if Instant::now() + pause >= deadline => return Err(known),
            known => earlier = known,
        }
        sleep_until(Instant::now() + pause).await;
        pause = (pause * 2).min(RETRY_PAUSE.1);
    }
}

/// What one attempt to connect found.
#[derive(Debug)]
pub(crate) enum Knock {
    /// A store of ours, which may be full.
    Store(Stream, ServerHello),
    /// Nobody there, in the system's words.
    Nobody(String),
    /// Somebody who closed the connection: a store that stops just now, or something else.
    HungUp(String),
    /// Somebody who said nothing: a store on a machine that hardly gets on, or something else.
    Silent(String),
    /// A store that does not trust us, or that we do not trust.
    Denied(Denial),
    /// Something that is certainly no store of ours.
    Stranger(String),
}

/// Connects once, shows what is asked for, and says hello, within [`ATTEMPT_TIME`] and before `deadline`.
pub(crate) async fn knock(address: &str, access: &Access, deadline: Instant) -> Knock {
    let until = deadline.min(Instant::now() + ATTEMPT_TIME);
    let socket = match timeout_at(until, TcpStream::connect(address)).await {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) => return Knock::Nobody(error.to_string()),
        Err(_) => return Knock::Nobody("no answer".into()),
    };
    match timeout_at(until, enter(socket, access)).await {
        Ok(Ok((stream, hello))) => Knock::Store(stream, hello),
        Ok(Err(Lost::Denied(denial))) => Knock::Denied(denial),
        Ok(Err(Lost::Tls(error))) => match tls::denial(&error) {
            Some(denial) => Knock::Denied(denial),
            None => Knock::Stranger(error.to_string()),
        },
        Ok(Err(Lost::Malformed(how))) => Knock::Stranger(how.to_string()),
        Ok(Err(Lost::Exchange(how))) => Knock::Stranger(how.to_string()),
        Ok(Err(_)) => Knock::HungUp("it closes the connection without a greeting".into()),
        Err(_) => Knock::Silent("it accepts the connection and says nothing".into()),
    }
}

async fn enter(socket: TcpStream, access: &Access) -> Result<(Stream, ServerHello), Lost> {
    socket.set_nodelay(true)?;
    let mut stream = access.enter(socket).await?;
    let hello = greet(&mut stream).await?;
    match hello.status.denial() {
        Some(denial) => Err(Lost::Denied(denial)),
        None => Ok((stream, hello)),
    }
}

async fn greet(stream: &mut Stream) -> Result<ServerHello, Lost> {
    frame::write(stream, &client_hello()).await?;
    let mut hello = [0; SERVER_HELLO_BYTES];
    let mut read = 0;
    while read < hello.len() {
        let more = stream.read(&mut hello[read..]).await?;
        read += more;
        // Judged as it comes: a stranger's greeting may be shorter than ours.
        let strange = hello[..read].iter().zip(MAGIC).any(|(got, ours)| got != ours);
        match (more, read) {
            (0, 0) => return Err(Lost::Closed),
            (0, _) => return Err(Malformed::Magic.into()),
            _ if strange => return Err(Malformed::Magic.into()),
            _ => {}
        }
    }
    Ok(ServerHello::decode(&hello)?)
}

/// How long we go on when what answers does not greet us.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    spent: u32,
}

impl Patience {
    /// So many connections in a row that are closed without a greeting are not a server that stops.
    const HUNG_UP_MAX: u32 = 8;
    /// Connections that say nothing take long, so fewer of them are enough.
    const SILENT_COST: u32 = 4;

    /// `None` for a store that welcomes us; else the error to report if there is no time for another
    /// attempt.
    ///
    /// # Errors
    /// [`StoreError::NotAStore`] and [`StoreError::Denied`] when it is certain that more attempts would not help.
    pub(crate) fn judge(&mut self, address: &str, found: &Knock) -> Result<Option<StoreError>, StoreError> {
        let strange = |cause: &str| StoreError::NotAStore { address: address.into(), cause: cause.into() };
        let (cost, cause) = match found {
            Knock::Store(_, hello) if hello.is_welcome() => return Ok(None),
            Knock::Store(_, hello) => {
                let limit = u64::from(hello.connections);
                return Ok(Some(StoreError::Full { bound: "connections".into(), limit }));
            }
            Knock::Nobody(cause) => {
                self.spent = 0;
                return Ok(Some(StoreError::Unreachable { address: address.into(), cause: cause.clone() }));
            }
            Knock::Denied(cause) => {
                return Err(StoreError::Denied { address: address.into(), cause: cause.clone() });
            }
            Knock::Stranger(cause) => return Err(strange(cause)),
            Knock::HungUp(cause) => (1, cause),
            Knock::Silent(cause) => (Self::SILENT_COST, cause),
        };
        self.spent += cost;
        if self.spent < Self::HUNG_UP_MAX { Ok(Some(strange(cause))) } else { Err(strange(cause)) }
    }
}
