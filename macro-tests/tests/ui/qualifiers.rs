//! `const`, `unsafe` and `extern`.

#[rpc::function]
const fn one() -> u8 {
    1
}

#[rpc::function]
unsafe fn read(address: usize) -> u8 {
    unsafe { *(address as *const u8) }
}

#[rpc::function]
extern "C" fn add(a: f64, b: f64) -> f64 {
    a + b
}

fn main() {}
