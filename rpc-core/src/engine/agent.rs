//! [`TransportAgent`]: the engine's face.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use super::peer::{Peer, Phase};
use super::shared::Shared;
use super::{handshake, leave, reader, timer};
use crate::agent::{Agent, Handler, PeerWatcher};
use crate::anteroom::Anteroom;
use crate::backend::AgentStart;
use crate::error::Failure;
use crate::function::BoxFuture;
use crate::info::AgentInfo;
use crate::message::{Body, Kind, Request};
use crate::observe::WriteMark;
use crate::reply::Reply;
use crate::shutdown::{Shutdown, ShutdownError, ShutdownReport};
use crate::transport::{Close, Link, Transport};
use crate::worker::{Group, WorkerId};

/// Pause after an error of the listener, so that a lasting one (no file descriptors) does not spin.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// An [`Agent`] over any [`Transport`].
///
/// Runs on the tokio runtime that it was started in. Dropping it is an immediate shutdown.
pub struct TransportAgent {
    shared: Arc<Shared>,
}

/// Why an engine could not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The group has no member with this worker's rank.
    #[error("rank {0} is not in the group")]
    NotAMember(WorkerId),
    /// There is no tokio runtime here.
    #[error("there is no tokio runtime here; start the agent within one")]
    NoRuntime,
}

impl TransportAgent {
    /// Starts to accept links and to serve. Handlers are added with [`Agent::serve`].
    ///
    /// # Errors
    /// [`StartError`]. Must be called within a tokio runtime, whose timer and (for sockets) IO drivers are
    /// enabled.
    pub fn start(transport: Arc<dyn Transport>, start: AgentStart) -> Result<Self, StartError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        let incarnation = start.incarnation().ok_or(StartError::NotAMember(start.id))?;
        transport.trust(&start.group);
        let shared = Shared::new(transport, start, incarnation, runtime);
        shared.mark_driver_thread();
        shared.handlers.insert(Kind::SHUTDOWN, Arc::new(leave::ShutdownHandler::new(&shared)));
        let accepting = accept_links(Arc::clone(&shared.transport), Arc::downgrade(&shared));
        let _ = shared.accepting.set(shared.spawn(accepting));
        let expiring = shared.spawn(timer::run(timer::CloseOnDrop(Arc::clone(&shared))));
        shared.tasks.lock().push(expiring);
        Ok(Self { shared })
    }
}

impl TransportAgent {
    #[inline]
    fn send_with(&self, to: WorkerId, mut request: Request, mark: Option<WriteMark>) -> Reply {
        let shared = &self.shared;
        if shared.is_closed() {
            return Reply::ready(Err(Failure::ShutDown));
        }
        if request.kind.0 < Kind::REQUEST_FIRST {
            return Reply::ready(Err(Failure::UnknownKind));
        }
        if let Some(failure) = shared.refuses(&mut request.codec, &mut request.body) {
            return Reply::ready(Err(failure));
        }
        let Some(peer) = shared.peer(to) else {
            let known: Vec<_> =
                shared.group.members().iter().map(|member| member.info.name.clone()).collect();
            return Reply::ready(Err(Failure::unknown_worker(&known)));
        };
        if to == shared.id { peer.send_to_self(shared, request) } else { peer.send(shared, request, mark) }
    }
}

async fn accept_links(transport: Arc<dyn Transport>, shared: Weak<Shared>) {
    let Some(config) = shared.upgrade().map(|shared| shared.config.clone()) else { return };
    let anteroom = Anteroom::new("links", config.handshakes_max, config.handshake_timeout);
    loop {
        let link = match transport.accept().await {
            Ok(link) => link,
            Err(error) => {
                tracing::warn!(%error, "cannot accept links");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(shared) = shared.upgrade() else { return };
        shared.mark_driver_thread();
        let (sender, remote) = (Arc::clone(&link.sender), link.remote.clone());
        let handshake = anteroom.admit(accept_link(Arc::clone(&shared), link));
        shared.spawn(async move {
            if let Err(dismissed) = handshake.await {
                tracing::debug!(remote, "closing a link before its handshake: {dismissed}");
                sender.close(Close::Now);
            }
        });
    }
}

/// Hears who has dialled, and starts to read if it may. Nothing is awaited after the peer has been accepted, so
/// a link that is dismissed meanwhile is in use or was never.
async fn accept_link(shared: Arc<Shared>, mut link: Link) {
    match handshake::accept(&shared, &mut link).await {
        Ok((peer, number)) => reader::start(&shared, &peer, link, number),
        Err(handshake::HandshakeError::Rejected(reject)) => {
            tracing::debug!(remote = link.remote, reason = ?reject.reason, "refused a link: {}", reject.text);
            // The peer reads the reason and closes; if it does not, the link ends with this.
            link.sender.closed().await;
        }
        // As a peer does that finds its other link used.
        Err(error @ handshake::HandshakeError::Closed) => {
            tracing::debug!(remote = link.remote, "a link before its handshake: {error}");
            link.sender.close(Close::Now);
        }
        Err(error) => {
            tracing::warn!(remote = link.remote, "closing a link before its handshake: {error}");
            link.sender.close(Close::Now);
        }
    }
}

impl Agent for TransportAgent {
    fn id(&self) -> WorkerId {
        self.shared.id
    }

    fn group(&self) -> &Group {
        &self.shared.group
    }

    fn send(&self, to: WorkerId, request: Request) -> Reply {
        self.send_with(to, request, None)
    }

    fn send_marked(&self, to: WorkerId, request: Request, mark: WriteMark) -> Reply {
        self.send_with(to, request, Some(mark))
    }

    fn serve(&self, kind: Kind, handler: Arc<dyn Handler>) {
        let before = self.shared.handlers.insert(kind, handler);
        drop(before); // after the lock: its destructor is the user's
    }

    fn refusal(&self, body: &Body) -> Option<Failure> {
        self.shared.too_large(body)
    }

    fn watch(&self, watcher: Weak<dyn PeerWatcher>) {
        self.shared.watchers.add(watcher);
    }

    fn may_block(&self) -> bool {
        self.shared.may_block()
    }

    fn run(&self, job: Box<dyn FnOnce() + Send>) {
        if let Err(job) = self.shared.pool.run_or_return(job) {
            crate::futures::on_new_thread(job);
        }
    }

    fn shutdown(&self, how: Shutdown) -> BoxFuture<'static, Result<ShutdownReport, ShutdownError>> {
        leave::shutdown(&self.shared, how)
    }

    fn info(&self) -> AgentInfo {
        self.shared.info()
    }
}

impl Drop for TransportAgent {
    fn drop(&mut self) {
        // A shutdown that has begun goes on by itself, and closes when it is done.
        if !self.shared.closed.load(Ordering::Acquire) && !self.shared.leaving.has_begun() {
            leave::close(&self.shared);
        }
    }
}

impl fmt::Debug for TransportAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = &self.shared;
        f.debug_struct("TransportAgent")
            .field("id", &shared.id)
            .field("job", &shared.group.job())
            .field("transport", &shared.transport)
            .field("links", &Links(&shared.peers))
            .finish_non_exhaustive()
    }
}

/// The peers with whom there is a link, and what that runs over.
struct Links<'a>(&'a [Arc<Peer>]);

impl fmt::Debug for Links<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for peer in self.0 {
            if let Phase::Up { link, .. } = &peer.state.lock().phase {
                map.entry(&peer.member.info.name.as_str(), &link.carrier());
            }
        }
        map.finish()
    }
}
