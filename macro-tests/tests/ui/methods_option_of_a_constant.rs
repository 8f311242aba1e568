//! An option on what is not a method.

struct Counter {
    n: u64,
}

#[rpc::methods]
impl Counter {
    #[rpc(skip)]
    const MAX: u64 = 10;

    #[rpc(inline)]
    fn is_full(&self) -> bool {
        self.n == Self::MAX
    }
}

fn main() {}
