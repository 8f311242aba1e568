//! Methods that take `self` in other ways, or not at all; as ordinary methods they are fine.

use std::pin::Pin;
use std::sync::Arc;

struct Counter {
    n: u64,
}

#[rpc::methods]
impl Counter {
    fn new() -> Self {
        Self { n: 0 }
    }

    fn into_inner(self) -> u64 {
        self.n
    }

    fn of_shared(self: Arc<Self>) -> u64 {
        self.n
    }

    fn of_pinned(self: Pin<&mut Self>) -> u64 {
        self.n
    }

    fn of_static(&'static self) -> u64 {
        self.n
    }
}

fn main() {
    Counter::new().into_inner();
}
