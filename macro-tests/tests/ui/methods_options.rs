//! Options of the block: unknown, twice, and with values that are none.

struct First;
struct Second;
struct Third;

#[rpc::methods(skip)]
impl First {
    fn one(&self) -> u8 {
        1
    }
}

#[rpc::methods(inline, inline)]
impl Second {
    fn two(&self) -> u8 {
        2
    }
}

#[rpc::methods(name = "the third")]
impl Third {
    fn three(&self) -> u8 {
        3
    }
}

async fn call(first: rpc::RRef<First>) -> Result<u8, rpc::CallError> {
    first.rpc_async().one().await
}

fn main() {}
