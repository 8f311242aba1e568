//! W6: the life of a reference: a value is created at the server, its method called once, and it is dropped.

use super::measure;
use crate::child::{Measured, Metric};
use crate::system::Client;

pub(crate) async fn run(client: impl Client, at_a_time: usize, seconds: f64) -> anyhow::Result<Measured> {
    let done = measure(seconds, at_a_time, async |count| client.cycle_many(at_a_time, count).await).await?;
    let thousands = done.per_second() / 1e3;
    Ok(done.measured([Metric::main(thousands, "k/s")]))
}
