//! Options of methods: unknown, missing, twice, and where they have no meaning.

struct Counter {
    n: u64,
}

#[rpc::methods]
impl Counter {
    #[rpc(inlined)]
    fn unknown(&self) -> u64 {
        self.n
    }

    #[rpc]
    fn missing(&self) -> u64 {
        self.n
    }

    #[rpc(inline)]
    #[rpc(skip)]
    fn twice(&self) -> u64 {
        self.n
    }

    #[rpc(inline, inline)]
    fn same(&self) -> u64 {
        self.n
    }

    #[rpc(skip, inline)]
    fn both(&self) -> u64 {
        self.n
    }

    #[rpc(inline = true)]
    fn value(&self) -> u64 {
        self.n
    }

    #[rpc(inline)]
    async fn waits(&self) -> u64 {
        self.n
    }
}

fn main() {}
