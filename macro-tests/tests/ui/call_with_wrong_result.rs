//! A result taken for another type.

#[rpc::function]
fn add(a: f64, b: f64) -> f64 {
    a + b
}

async fn call(client: &rpc::Client) -> Result<(), rpc::CallError> {
    let sum: String = client.rpc_async("worker1", add, (1.0, 2.0)).await?;
    drop(sum);
    Ok(())
}

fn main() {}
