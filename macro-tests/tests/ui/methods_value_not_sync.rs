//! A value that threads cannot share, and one that stays on its thread.

use std::cell::Cell;
use std::rc::Rc;

struct Counter {
    n: Cell<u64>,
}

#[rpc::methods]
impl Counter {
    fn add(&self, by: u64) {
        self.n.set(self.n.get() + by);
    }

    fn value(&self) -> u64 {
        self.n.get()
    }
}

struct Shared {
    n: Rc<u64>,
}

#[rpc::methods]
impl Shared {
    fn value(&self) -> u64 {
        *self.n
    }
}

fn main() {}
