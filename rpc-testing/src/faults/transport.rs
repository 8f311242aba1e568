//! [`FaultyTransport`]: any transport, with faults on what arrives.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};

use rpc_core::{BoxFuture, Group, Handler, Kind, Link, Transport};

use super::Faults;
use super::link;
use super::own::{Own, Passes};

/// Any transport, with [`Faults`] on what arrives.
///
/// [`Faults::around`] puts it around the backends of a program; this is for an engine or an agent of your own.
///
/// ```
/// use std::sync::Arc;
/// use rpc_core::Transport;
/// use rpc_testing::{Faults, FaultyTransport, MemoryNetwork};
/// let (network, faults) = (MemoryNetwork::new(), Faults::seeded(7));
/// let transport = FaultyTransport::new(Arc::new(network.transport()), &faults);
/// assert_eq!(transport.local_address(), "memory:0");
/// ```
pub struct FaultyTransport {
    inner: Arc<dyn Transport>,
    faults: Faults,
    group: OnceLock<Names>,
    passes: Arc<Passes>,
}

/// Who is who.
struct Names {
    me: Arc<str>,
    by_address: HashMap<String, Arc<str>>,
}

impl FaultyTransport {
    /// `inner` under `faults`, which other transports share.
    pub fn new(inner: Arc<dyn Transport>, faults: &Faults) -> Self {
        Self { inner, faults: faults.clone(), group: OnceLock::new(), passes: Arc::default() }
    }

    /// The worker of this transport: its name once the group is known, its address before.
    fn me(&self) -> Arc<str> {
        self.group.get().map_or_else(|| self.inner.local_address().into(), |names| Arc::clone(&names.me))
    }

    fn name_at(&self, address: &str) -> Arc<str> {
        let known = self.group.get().and_then(|names| names.by_address.get(address));
        known.map_or_else(|| address.into(), Arc::clone)
    }
}

impl fmt::Debug for FaultyTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FaultyTransport").field(&self.inner).finish()
    }
}

impl Transport for FaultyTransport {
    fn local_address(&self) -> String {
        self.inner.local_address()
    }

    fn shown_address<'a>(&self, address: &'a str) -> &'a str {
        self.inner.shown_address(address)
    }

    fn accept(&self) -> BoxFuture<'_, io::Result<Link>> {
        Box::pin(async {
            loop {
                let link = self.inner.accept().await?;
                if !self.faults.is_dead(&self.me()) {
                    // Who it is from, its hello says.
                    let peer = link.remote.as_str().into();
                    return Ok(link::under(&self.faults, link, self.me(), peer));
                }
            }
        })
    }

    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Link>> {
        Box::pin(async move {
            let (me, peer) = (self.me(), self.name_at(address));
            self.faults.until_dialled(&me, &peer).await?;
            let link = self.inner.connect(address).await?;
            Ok(link::under(&self.faults, link, me, peer))
        })
    }

    fn trust(&self, group: &Group) {
        let mine = self.inner.local_address();
        let by_address: HashMap<String, Arc<str>> = group
            .members()
            .iter()
            .map(|member| (member.address.clone(), Arc::from(member.info.name.as_str())))
            .collect();
        let me = by_address.get(&mine).map_or_else(|| Arc::from(mine.as_str()), Arc::clone);
        self.faults.add_members(group);
        // Told once; a second group would be a mistake of the engine's.
        let _ = self.group.set(Names { me, by_address });
        self.inner.trust(group);
    }

    fn around_own(&self, kind: Kind, handler: Arc<dyn Handler>) -> Arc<dyn Handler> {
        let inner = self.inner.around_own(kind, handler);
        let (faults, me, passes) = (self.faults.clone(), self.me(), Arc::clone(&self.passes));
        Arc::new(Own { faults, me, passes, kind, inner })
    }
}
