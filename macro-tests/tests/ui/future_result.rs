//! Futures where they are of no use.

use std::rc::Rc;

use rpc::RpcFuture;

#[rpc::function]
fn length(text: String) -> usize {
    text.len()
}

#[rpc::function]
async fn twice(client: String) -> RpcFuture<usize> {
    rpc::Client::current().unwrap().rpc_async("worker2", length, (client,))
}

#[rpc::function(inline)]
fn in_place(client: String) -> RpcFuture<usize> {
    rpc::Client::current().unwrap().rpc_async("worker2", length, (client,))
}

#[rpc::function]
fn not_send(n: u64) -> impl Future<Output = u64> {
    let shared = Rc::new(n);
    async move {
        std::future::ready(()).await;
        *shared
    }
}

fn main() {}
