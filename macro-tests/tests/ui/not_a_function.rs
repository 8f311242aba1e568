//! The attribute on things that are no functions.

#[rpc::function]
struct Counter {
    n: u64,
}

#[rpc::function]
const START: Counter = Counter { n: 0 };

#[rpc::function]
impl Counter {
    fn next(&mut self) -> u64 {
        self.n += 1;
        self.n
    }
}

fn main() {}
