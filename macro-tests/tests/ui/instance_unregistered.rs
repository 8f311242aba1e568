//! A call of an instance that is not among those of its function, and one that is not what the function asks for.

use std::fmt::Display;

#[rpc::function(instances(u8, u16))]
fn text<T: Display>(value: T) -> String {
    value.to_string()
}

#[rpc::function(instances(Vec<u8>))]
fn text_of<T: Display>(value: T) -> String {
    value.to_string()
}

async fn call(client: rpc::Client) {
    let _ = client.rpc_async("worker1", text::<u32>, (1,)).await;
}

fn main() {}
