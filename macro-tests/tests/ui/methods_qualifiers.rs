//! Methods with qualifiers that mean nothing to a caller on another worker.

struct Counter {
    n: u64,
}

#[rpc::methods]
impl Counter {
    const fn constant(&self) -> u64 {
        self.n
    }

    unsafe fn trusting(&mut self) -> u64 {
        self.n
    }

    extern "C" fn foreign(&self) -> u64 {
        self.n
    }
}

fn main() {}
