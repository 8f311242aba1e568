//! The suite that every transport has to pass, over sockets on loopback.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rpc_core::{
    BindOptions, BoxFuture, Group, Identity, Incarnation, Member, Transport, WorkerId, WorkerInfo, WorkerName,
};
use rpc_testing::conformance::Rig;
use rpc_transport_quic::QuicTransport;

/// All its transports are one member of a group of one.
struct Loopback {
    identity: Identity,
    group: Group,
}

impl Loopback {
    fn new() -> Self {
        let identity = rpc_security::generate().expect("the system has randomness");
        let info = WorkerInfo::new(WorkerName::new("w0").expect("a name"), WorkerId(0));
        let mut member = Member::new(info, Incarnation([1; 16]), "");
        member.fingerprint = Some(identity.fingerprint());
        let group = Group::new("conformance", vec![member]).expect("one member");
        Self { identity, group }
    }
}

impl Rig for Loopback {
    fn bind(&self) -> BoxFuture<'_, io::Result<Arc<dyn Transport>>> {
        Box::pin(async {
            let mut options = BindOptions::new("127.0.0.1:0");
            options.security.identity = Some(self.identity.clone());
            let transport = QuicTransport::bind(options).await?;
            transport.trust(&self.group);
            Ok(Arc::new(transport) as Arc<dyn Transport>)
        })
    }

    fn end_within(&self) -> Duration {
        Duration::from_secs(5)
    }
}

rpc_testing::conformance!(Loopback::new());
