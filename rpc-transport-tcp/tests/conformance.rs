//! The suite that every transport has to pass, over sockets on loopback: plain, behind the token, and encrypted; and
//! over Unix sockets, plain and behind the token.

use std::io;
use std::sync::Arc;

use rpc_core::{BindOptions, BoxFuture, LinkSecurity, Transport};
use rpc_testing::conformance::Rig;
use rpc_transport_tcp::TcpTransport;

async fn bind(security: LinkSecurity) -> io::Result<TcpTransport> {
    let mut options = BindOptions::new("127.0.0.1:0");
    options.security = security;
    options.local_links = false;
    TcpTransport::bind(options).await
}

mod plain {
    use super::*;

    struct Loopback;

    impl Rig for Loopback {
        fn bind(&self) -> BoxFuture<'_, io::Result<Arc<dyn Transport>>> {
            Box::pin(async { Ok(Arc::new(bind(LinkSecurity::default()).await?) as Arc<dyn Transport>) })
        }
    }

    rpc_testing::conformance!(Loopback);
}

mod token {
    use rpc_core::{JoinToken, Protection};

    use super::*;

    struct WithToken(JoinToken);

    impl Rig for WithToken {
        fn bind(&self) -> BoxFuture<'_, io::Result<Arc<dyn Transport>>> {
            let mut security = LinkSecurity::new(Protection::Token);
            security.token = Some(self.0.clone());
            Box::pin(async { Ok(Arc::new(bind(security).await?) as Arc<dyn Transport>) })
        }
    }

    rpc_testing::conformance!(WithToken(JoinToken::random().expect("randomness")));
}

#[cfg(target_os = "linux")]
mod local {
    use rpc_core::{JoinToken, Link, Protection};

    use super::*;

    /// A transport whose links have to be local.
    #[derive(Debug)]
    struct Local(TcpTransport);

    impl Local {
        async fn bind(security: LinkSecurity) -> io::Result<Arc<dyn Transport>> {
            let mut options = BindOptions::new("127.0.0.1:0");
            options.security = security;
            Ok(Arc::new(Self(TcpTransport::bind(options).await?)))
        }
    }

    fn checked(link: Link) -> Link {
        assert!(link.remote.starts_with("local process "), "{}", link.remote);
        link
    }

    impl Transport for Local {
        fn local_address(&self) -> String {
            self.0.local_address()
        }

        fn accept(&self) -> BoxFuture<'_, io::Result<Link>> {
            Box::pin(async { self.0.accept().await.map(checked) })
        }

        fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Link>> {
            Box::pin(async { self.0.connect(address).await.map(checked) })
        }
    }

    mod plain {
        use super::*;

        struct Plain;

        impl Rig for Plain {
            fn bind(&self) -> BoxFuture<'_, io::Result<Arc<dyn Transport>>> {
                Box::pin(Local::bind(LinkSecurity::default()))
            }
        }

        rpc_testing::conformance!(Plain);
    }

    mod token {
        use super::*;

        struct WithToken(JoinToken);

        impl Rig for WithToken {
            fn bind(&self) -> BoxFuture<'_, io::Result<Arc<dyn Transport>>> {
                let mut security = LinkSecurity::new(Protection::Token);
                security.token = Some(self.0.clone());
                Box::pin(Local::bind(security))
            }
        }

        rpc_testing::conformance!(WithToken(JoinToken::random().expect("randomness")));
    }
}

#[cfg(feature = "tls")]
mod tls {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use rpc_core::{Group, Identity, Incarnation, Member, Protection, WorkerId, WorkerInfo, WorkerName};

    use super::*;

    /// Transports of one group, each with a certificate of its own.
    struct Encrypted {
        identities: Vec<Identity>,
        group: Group,
        bound: AtomicUsize,
    }

    impl Encrypted {
        fn new() -> Self {
            let identities: Vec<Identity> =
                (0..4).map(|_| rpc_security::generate().expect("a certificate")).collect();
            let member = |(rank, identity): (usize, &Identity)| {
                let name = WorkerName::new(format!("worker{rank}")).expect("a name");
                let info = WorkerInfo::new(name, WorkerId(rank as u32));
                let mut member = Member::new(info, Incarnation([rank as u8; 16]), "anywhere");
                member.fingerprint = Some(identity.fingerprint());
                member
            };
            let members = identities.iter().enumerate().map(member).collect();
            let group = Group::new("conformance", members).expect("a group");
            Self { identities, group, bound: AtomicUsize::new(0) }
        }
    }

    impl Rig for Encrypted {
        fn bind(&self) -> BoxFuture<'_, io::Result<Arc<dyn Transport>>> {
            let mut security = LinkSecurity::new(Protection::Encryption);
            let next = self.bound.fetch_add(1, Ordering::Relaxed) % self.identities.len();
            security.identity = Some(self.identities[next].clone());
            Box::pin(async {
                let transport = bind(security).await?;
                transport.trust(&self.group);
                Ok(Arc::new(transport) as Arc<dyn Transport>)
            })
        }
    }

    rpc_testing::conformance!(Encrypted::new());
}
