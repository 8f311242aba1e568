//! Things that are not `impl` blocks.

#[rpc::methods]
struct Counter(u64);

#[rpc::methods]
fn add(counter: &mut Counter, by: u64) {
    counter.0 += by;
}

#[rpc::methods]
trait Add {
    fn add(&mut self, by: u64);
}

#[rpc::methods]
mod counters {}

fn main() {
    add(&mut Counter(0), 1);
}
