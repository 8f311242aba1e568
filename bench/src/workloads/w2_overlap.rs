//! W2: many small calls at a time through one client. The driver adds both sides' computing time.

use super::measure;
use crate::child::{Measured, Metric};
use crate::system::Client;

pub(crate) async fn run(client: impl Client, in_flight: usize, seconds: f64) -> anyhow::Result<Measured> {
    let done = measure(seconds, in_flight, async |count| client.echo_many(in_flight, count).await).await?;
    let thousands = done.per_second() / 1e3;
    Ok(done.measured([Metric::main(thousands, "k/s")]))
}
