//! The in-memory transport keeps the promises of a transport.

use std::io;
use std::sync::Arc;

use rpc_core::{BoxFuture, Transport};
use rpc_testing::MemoryNetwork;
use rpc_testing::conformance::Rig;

struct MemoryRig(MemoryNetwork);

impl Rig for MemoryRig {
    fn bind(&self) -> BoxFuture<'_, io::Result<Arc<dyn Transport>>> {
        Box::pin(async { Ok(Arc::new(self.0.transport()) as Arc<dyn Transport>) })
    }
}

rpc_testing::conformance!(MemoryRig(MemoryNetwork::new()));
