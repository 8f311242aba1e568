//! A function of a type that names the type as `Self`.

struct Counter {
    n: u64,
}

impl Counter {
    #[rpc::function]
    fn starting_at(n: u64) -> Self {
        Self { n }
    }
}

fn main() {}
