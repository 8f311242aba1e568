//! Calls with wrong arguments, and one whose result is taken for something else.

use rpc::RRef;

struct Counter {
    n: u64,
}

#[rpc::methods]
impl Counter {
    fn add(&mut self, by: u64, note: String) -> u64 {
        drop(note);
        self.n += by;
        self.n
    }
}

async fn call(counter: RRef<Counter>) -> Result<(), rpc::CallError> {
    counter.rpc_async().add("5", "five".to_owned()).await?;
    counter.rpc_sync().add(5)?;
    let sum: RRef<String> = counter.remote().add(5, "five".to_owned())?;
    drop(sum);
    Ok(())
}

fn main() {}
