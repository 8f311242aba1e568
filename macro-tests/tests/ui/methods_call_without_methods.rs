//! A method of a type without remote methods, and one that is kept local.

use rpc::RRef;

struct Plain {
    n: u64,
}

impl Plain {
    fn total(&self) -> u64 {
        self.n
    }
}

struct Counter {
    n: u64,
}

#[rpc::methods]
impl Counter {
    fn total(&self) -> u64 {
        self.n
    }

    #[rpc(skip)]
    fn local(&self) -> u64 {
        self.n
    }
}

async fn call(plain: RRef<Plain>, counter: RRef<Counter>) {
    plain.rpc_async().total();
    counter.rpc_sync().local();
    counter.total();
}

fn main() {}
