//! A method; the struct and its other methods compile all the same.

struct Counter {
    n: u64,
}

impl Counter {
    #[rpc::function]
    fn add(&mut self, by: u64) -> u64 {
        self.n += by;
        self.n
    }

    fn twice(&mut self) -> u64 {
        self.add(1);
        self.add(1)
    }
}

fn main() {}
