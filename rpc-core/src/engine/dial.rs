//! Makes a link to a peer that has requests waiting.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::handshake::{self, HandshakeError};
use super::peer::{Peer, Phase};
use super::reader;
use super::shared::Shared;
use crate::error::Failure;
use crate::transport::{Close, Link};
use crate::wire::RejectReason;

/// First pause before dialling again; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// What one attempt ended with.
enum Attempt {
    /// A link is up, ours or the peer's.
    Up,
    /// It may work in a moment.
    Again(String),
    /// It will not.
    Never(Failure),
}

/// Dials until there is a link, the peer turns out to be gone, or `dial_timeout` is over.
pub(super) async fn run(shared: Arc<Shared>, peer: Arc<Peer>) {
    let give_up = Instant::now() + shared.config.dial_timeout;
    let mut pause = PAUSE_MIN;
    loop {
        let attempt = tokio::time::timeout_at(give_up, attempt(&shared, &peer));
        let cause = match attempt.await {
            Ok(Attempt::Up) => return,
            Ok(Attempt::Never(failure)) => return peer.unreachable(&shared, &failure),
            Ok(Attempt::Again(cause)) => cause,
            Err(_) => "no answer".to_owned(),
        };
        // The peer's own link may come meanwhile, and end the waiting.
        let changed = peer.changed.notified();
        if !is_dialing(&peer) {
            return;
        }
        let _ = tokio::time::timeout_at((Instant::now() + pause).min(give_up), changed).await;
        if !is_dialing(&peer) || shared.is_closed() {
            return;
        }
        if Instant::now() >= give_up {
            let address = shown(&shared, &peer);
            return peer.unreachable(&shared, &Failure::Unreachable { address, cause });
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

fn is_dialing(peer: &Peer) -> bool {
    matches!(peer.state.lock().phase, Phase::Dialing(_))
}

/// The peer's address, for people.
fn shown(shared: &Shared, peer: &Peer) -> String {
    shared.transport.shown_address(&peer.member.address).to_owned()
}

async fn attempt(shared: &Arc<Shared>, peer: &Arc<Peer>) -> Attempt {
    let address = &peer.member.address;
    let never = |cause: String| Attempt::Never(Failure::Unreachable { address: shown(shared, peer), cause });
    let mut link = match shared.transport.connect(address).await {
        Ok(link) => link,
        // Every member listened before the group was complete, so nobody listening means that it died.
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            return never(error.to_string());
        }
        Err(error) => return Attempt::Again(error.to_string()),
    };
    match handshake::dial(shared, peer, &mut link).await {
        Ok(welcome) => {
            if install(shared, peer, link, welcome.link) {
                handshake::compare_functions(shared, peer, welcome.digest);
                Attempt::Up
            } else {
                Attempt::Again("the link came too late".into())
            }
        }
        Err(HandshakeError::Rejected(reject)) => {
            link.sender.close(Close::Now);
            match reject.reason {
                RejectReason::Crossed => Attempt::Again(reject.text),
                RejectReason::ShuttingDown => Attempt::Never(Failure::Departed),
                _ => never(HandshakeError::Rejected(reject).to_string()),
            }
        }
        Err(error @ HandshakeError::Imposter { .. }) => {
            link.sender.close(Close::Now);
            tracing::warn!(peer = %peer.member.info, address = shown(shared, peer), "not calling: {error}");
            never(error.to_string())
        }
        Err(error) => {
            link.sender.close(Close::Now);
            Attempt::Again(error.to_string())
        }
    }
}

/// Puts a link that the peer has accepted to use, unless a later one is in use already.
fn install(shared: &Arc<Shared>, peer: &Arc<Peer>, link: Link, number: u32) -> bool {
    let mut state = peer.state.lock();
    if shared.is_closed() || matches!(state.phase, Phase::Departed) || !state.links.handle_welcome(number) {
        drop(state);
        link.sender.close(Close::Now);
        return false;
    }
    peer.link_up(&mut state, Arc::clone(&link.sender), number);
    drop(state);
    reader::start(shared, peer, link, number);
    true
}
