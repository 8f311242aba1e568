//! An `async` method that keeps a value of its thread while it waits.

use std::rc::Rc;

struct Counter {
    n: u64,
}

#[rpc::methods]
impl Counter {
    async fn value(&self) -> u64 {
        let shared = Rc::new(self.n);
        std::future::ready(()).await;
        *shared
    }
}

fn main() {}
