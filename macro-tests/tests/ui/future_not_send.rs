//! An `async fn` that keeps a value of its thread while it waits.

use std::rc::Rc;

#[rpc::function]
async fn count(n: u64) -> u64 {
    let shared = Rc::new(n);
    std::future::ready(()).await;
    *shared
}

fn main() {}
