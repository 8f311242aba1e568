//! Two blocks of one type.

struct Counter(u64);

#[rpc::methods]
impl Counter {
    fn add(&mut self, by: u64) {
        self.0 += by;
    }
}

#[rpc::methods]
impl Counter {
    fn value(&self) -> u64 {
        self.0
    }
}

fn main() {}
