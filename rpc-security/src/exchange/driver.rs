//! [`prove`]: an exchange over a stream.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::{ExchangeError, HELLO_BYTES, TokenExchange};

/// How long an exchange takes at most, unless there is a reason for something else. 5 s.
pub const EXCHANGE_TIME: Duration = Duration::from_secs(5);

/// Runs `exchange` over `stream`, and returns when the peer has proved itself.
///
/// Nothing beyond the exchange is read, so what comes next on the stream is the next protocol's.
///
/// # Errors
/// [`ExchangeError`], after at most `limit`. The stream is of no use then. The peer has been told if its
/// proof was wrong.
///
/// # Cancel safety
/// None: drop the stream as well.
///
/// # Panics
/// Outside of a Tokio runtime with time.
pub async fn prove<S>(stream: &mut S, exchange: TokenExchange, limit: Duration) -> Result<(), ExchangeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    timeout(limit, drive(stream, exchange)).await.unwrap_or(Err(ExchangeError::TooSlow))
}

async fn drive<S>(stream: &mut S, mut exchange: TokenExchange) -> Result<(), ExchangeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut piece = [0; HELLO_BYTES];
    let mut step = exchange.handle(&[]);
    loop {
        if let Some(bytes) = exchange.poll_transmit() {
            let sent = async {
                stream.write_all(&bytes).await?;
                stream.flush().await
            };
            // Why the exchange has failed says more than that the peer did not wait to be told.
            sent.await.or_else(|error| if step.is_err() { Ok(()) } else { Err(error) })?;
        }
        step?;
        if exchange.is_done() {
            return Ok(());
        }
        let wanted = exchange.wants();
        step = match stream.read(&mut piece[..wanted]).await? {
            0 => return Err(ExchangeError::Closed),
            read => exchange.handle(&piece[..read]),
        };
    }
}
