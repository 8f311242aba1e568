//! A trait's implementation; it compiles all the same.

struct Counter(u64);

trait Add {
    fn add(&mut self, by: u64);
}

#[rpc::methods]
impl Add for Counter {
    #[rpc(inline)]
    fn add(&mut self, by: u64) {
        self.0 += by;
    }
}

fn add(counter: &mut Counter) {
    counter.add(1);
}

fn main() {}
