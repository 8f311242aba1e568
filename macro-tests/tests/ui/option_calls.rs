//! Options about calls that say nothing, or nothing together.

#[rpc::function(max_concurrency = 0)]
fn none() {}

#[rpc::function(max_concurrency = "4")]
fn text() {}

#[rpc::function(max_concurrency)]
fn no_number() {}

#[rpc::function(max_concurrency = 5_000_000_000)]
fn too_many() {}

#[rpc::function(max_waiting = 16)]
fn waiting_for_what() {}

#[rpc::function(idempotent = true)]
fn value() {}

#[rpc::function(idempotent, idempotent)]
fn twice() {}

fn main() {}
