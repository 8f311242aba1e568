//! Methods that stand for many; the others can be called all the same.

use std::fmt::Display;

use rpc::RRef;

struct Log(Vec<String>);

#[rpc::methods]
impl Log {
    fn write<T: Display>(&mut self, value: T) {
        self.0.push(value.to_string());
    }

    fn last<const N: usize>(&self) -> usize {
        N
    }

    fn borrow<'a>(&'a self, with: u8) -> u8 {
        with
    }

    fn clause(&self)
    where
        u8: Copy,
    {
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

async fn call(log: RRef<Log>) -> Result<usize, rpc::CallError> {
    log.rpc_async().len().await
}

fn main() {}
