//! Methods that cannot be functions, and options that are for functions.

use std::sync::Arc;

#[derive(serde::Serialize, serde::Deserialize)]
struct Counter {
    n: u64,
}

#[rpc::methods]
impl Counter {
    #[rpc(function = add)]
    fn add(&mut self, by: u64) {
        self.n += by;
    }

    #[rpc(skip, function = skipped)]
    fn skipped(&self) {}

    #[rpc(idempotent)]
    fn alone(&self) {}

    #[rpc(function = "text")]
    fn text(&self) {}

    #[rpc(function = borrowed)]
    fn borrowed(text: &str) -> usize {
        text.len()
    }

    #[rpc(function = generic)]
    fn generic<T: Into<u64>>(n: T) -> u64 {
        n.into()
    }

    #[rpc(function = of_shared)]
    fn of_shared(self: Arc<Self>) -> u64 {
        self.n
    }

    #[rpc(skip, max_concurrency = 2)]
    fn skipped_and_limited(&self) {}
}

fn main() {}
