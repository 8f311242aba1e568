//! A proxy that calls nothing, and a method whose result is not to be dropped.
#![deny(unused_must_use)]

use rpc::RRef;

struct Counter {
    n: u64,
}

#[rpc::methods]
impl Counter {
    fn add(&mut self, by: u64) {
        self.n += by;
    }

    #[must_use]
    fn value(&self) -> u64 {
        self.n
    }
}

fn call(counter: RRef<Counter>) {
    counter.rpc_async();
    counter.rpc_async().value();
    counter.rpc_sync().add(1);
    counter.remote().add(1);
    counter.rpc_async().add(1); // nobody waits for it, which is fine
}

fn main() {}
