//! What a function can be: of a type, generic, a future, a closure; limited, and repeatable. Next to nothing of it has to do
//! with how links are protected, so it runs once for each way that links go.

mod async_execution;
mod kinds;
mod limits;

use anyhow::Result;
use integration::scenario::Scenario;
use rpc::Worker;

pub(crate) fn scenarios() -> Vec<Scenario> {
    [kinds::scenarios(), limits::scenarios(), async_execution::scenarios()].concat()
}

/// As [`Scenario::on_first`].
fn by_call(
    name: &'static str,
    workers: u32,
    body: impl AsyncFn(&Worker) -> Result<()> + 'static,
) -> Scenario {
    Scenario::on_first(name, workers, body).plain()
}
