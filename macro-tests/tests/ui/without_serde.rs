//! Types that cannot travel: an argument, a result and an error.

struct Handle(u32);

#[rpc::function]
fn close(handle: Handle) {
    drop(handle.0);
}

#[rpc::function]
fn open() -> Handle {
    Handle(1)
}

#[rpc::function]
fn write(text: String) -> std::io::Result<u32> {
    drop(text);
    Ok(1)
}

fn main() {}
