//! The suite that every transport has to pass, over sockets on loopback.

use std::io;
use std::sync::Arc;

use rpc_core::{BindOptions, BoxFuture, Transport};
use rpc_testing::conformance::Rig;
use rpc_transport_tcp::TcpTransport;

struct Loopback;

impl Rig for Loopback {
    fn bind(&self) -> BoxFuture<'_, io::Result<Arc<dyn Transport>>> {
        Box::pin(async {
            let transport = TcpTransport::bind(BindOptions::new("127.0.0.1:0")).await?;
            Ok(Arc::new(transport) as Arc<dyn Transport>)
        })
    }
}

rpc_testing::conformance!(Loopback);
