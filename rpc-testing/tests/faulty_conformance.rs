//! A transport under faults that never act keeps the promises of the one inside.

use std::io;
use std::sync::Arc;

use rpc_core::{BoxFuture, Transport};
use rpc_testing::conformance::Rig;
use rpc_testing::{Fault, Faults, FaultyTransport, MemoryNetwork};

struct FaultyRig(MemoryNetwork, Faults);

impl FaultyRig {
    fn new() -> Self {
        let faults = Faults::seeded(0);
        faults.add(Fault::drop().probability(0.0));
        Self(MemoryNetwork::new(), faults)
    }
}

impl Rig for FaultyRig {
    fn bind(&self) -> BoxFuture<'_, io::Result<Arc<dyn Transport>>> {
        let transport = FaultyTransport::new(Arc::new(self.0.transport()), &self.1);
        Box::pin(async { Ok(Arc::new(transport) as Arc<dyn Transport>) })
    }
}

rpc_testing::conformance!(FaultyRig::new());
