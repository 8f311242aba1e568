//! The first frames of a link: who dials, whom it wants, and what the acceptor says.

use std::sync::Arc;

use super::peer::{Peer, Phase};
use super::shared::Shared;
use crate::agent::PeerEvent;
use crate::error::Violation;
use crate::message::{Body, Kind};
use crate::proto::links::Verdict;
use crate::security::Fingerprint;
use crate::transport::{Close, Flush, Frame, FrameLimits, Link, LinkError, recv};
use crate::wire::{Header, Hello, PROTOCOL_VERSION, Reject, RejectReason, Welcome, frame};
use crate::worker::WorkerInfo;

/// Why a handshake did not end with a link.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    #[error("{0}")]
    Link(#[from] LinkError),
    #[error("the peer {0}")]
    Violation(#[from] Violation),
    #[error("the link was closed during the handshake")]
    Closed,
    #[error("the peer's own link came up meanwhile")]
    Overtaken,
    #[error(
        "it has shown the certificate {shown}, and {expected} has another; another process answers at its address"
    )]
    Imposter { shown: Fingerprint, expected: WorkerInfo },
    #[error("no answer to the handshake in time")]
    TimedOut,
    #[error("it refused the link: {}", .0.text)]
    Rejected(Reject),
}

/// Introduces this worker to `peer`.
pub(super) async fn dial(shared: &Shared, peer: &Peer, link: &mut Link) -> Result<Welcome, HandshakeError> {
    if let Some(shown) = link.fingerprint.filter(|shown| peer.member.fingerprint != Some(*shown)) {
        return Err(HandshakeError::Imposter { shown, expected: peer.member.info.clone() });
    }
    let last_link = peer.state.lock().links.hello().ok_or(HandshakeError::Overtaken)?;
    let hello = Hello {
        version: PROTOCOL_VERSION,
        features: 0,
        incarnation: shared.incarnation,
        expected_incarnation: peer.member.incarnation,
        id: shared.id,
        expected_id: peer.id(),
        last_link,
        digest: shared.functions_digest,
        name: shared.group.get(shared.id).map(|me| me.info.name.to_string()).unwrap_or_default(),
        job: shared.group.job().to_owned(),
    };
    send(link, frame::HELLO, hello.encode());
    let exchange = async {
        let answer = recv(&mut *link.receiver).await?.ok_or(HandshakeError::Closed)?;
        match answer.header.kind {
            frame::WELCOME => Ok(Welcome::decode(&answer.body.payload)?),
            frame::REJECT => Err(HandshakeError::Rejected(Reject::decode(&answer.body.payload)?)),
            other => Err(Violation::NotAHello(Kind(other)).into()),
        }
    };
    let welcome = tokio::time::timeout(shared.config.handshake_timeout, exchange)
        .await
        .unwrap_or(Err(HandshakeError::TimedOut))?;
    link.receiver.set_limits(limits(shared));
    Ok(welcome)
}

/// Hears who has dialled. On success the link is in use; the reader has to be started. The caller limits the
/// time.
pub(super) async fn accept(shared: &Shared, link: &mut Link) -> Result<(Arc<Peer>, u32), HandshakeError> {
    let first = recv(&mut *link.receiver).await?.ok_or(HandshakeError::Closed)?;
    if first.header.kind != frame::HELLO {
        return Err(Violation::NotAHello(Kind(first.header.kind)).into());
    }
    let hello = Hello::decode(&first.body.payload)?;
    let accepted = identify(shared, &hello, link.fingerprint)
        .and_then(|peer| agree(shared, link, &hello, &peer).map(|link| (peer, link)));
    accepted.map_err(|reject| {
        send(link, frame::REJECT, reject.encode());
        link.sender.close(Close::AfterQueued);
        HandshakeError::Rejected(reject)
    })
}

/// The member of the group that the hello is from.
fn identify(shared: &Shared, hello: &Hello, shown: Option<Fingerprint>) -> Result<Arc<Peer>, Reject> {
    let reject = |reason, text: String| Err(Reject { reason, text });
    let me = shared.group.get(shared.id).map(|me| me.info.to_string()).unwrap_or_default();
    if hello.version != PROTOCOL_VERSION {
        return reject(
            RejectReason::Version,
            format!("{me} speaks protocol version {PROTOCOL_VERSION}, you version {}", hello.version),
        );
    }
    if hello.job != Hello::job_on_the_wire(shared.group.job()) {
        return reject(RejectReason::Job, format!("{me} belongs to another job than {:?}", hello.job));
    }
    if hello.expected_id != shared.id || hello.expected_incarnation != shared.incarnation {
        return reject(
            RejectReason::NotMe,
            format!("this is {me}, incarnation {}; it may have been restarted", shared.incarnation),
        );
    }
    match shared.peer(hello.id) {
        Some(peer)
            if peer.id() != shared.id
                && peer.member.info.name.as_str() == hello.name
                && peer.member.incarnation == hello.incarnation =>
        {
            if shown.is_some() && peer.member.fingerprint != shown {
                let text = format!("{me} knows {} by another certificate", peer.member.info);
                return reject(RejectReason::Certificate, text);
            }
            Ok(Arc::clone(peer))
        }
        _ => reject(
            RejectReason::UnknownPeer,
            format!("{me} knows no worker {} of rank {} and that incarnation", hello.name, hello.id),
        ),
    }
}

/// Agrees on the link, tells the peer, and puts it to use. Under one lock, so that nothing is sent on it
/// before the welcome.
fn agree(shared: &Shared, link: &mut Link, hello: &Hello, peer: &Arc<Peer>) -> Result<u32, Reject> {
    let mut state = peer.state.lock();
    if shared.is_closed() || matches!(state.phase, Phase::Departed) {
        return Err(Reject { reason: RejectReason::ShuttingDown, text: "it has shut down".into() });
    }
    let before = state.links.last();
    let number = match state.links.handle_hello(hello.last_link, shared.id < peer.id()) {
        Verdict::Accept(number) => number,
        Verdict::Crossed => {
            return Err(Reject { reason: RejectReason::Crossed, text: "both dialled at once".into() });
        }
    };
    let welcome =
        Welcome { version: PROTOCOL_VERSION, features: 0, link: number, digest: shared.functions_digest };
    send(link, frame::WELCOME, welcome.encode());
    link.receiver.set_limits(limits(shared));
    let replaced = match &state.phase {
        Phase::Up { link, .. } => Some((Arc::clone(link), peer.running.lock().take_all())),
        _ => None,
    };
    peer.link_up(&mut state, Arc::clone(&link.sender), number);
    drop(state);
    if let Some((replaced, stop)) = replaced {
        // The peer has lost that one; the calls on it are lost with it, in both directions.
        replaced.close(Close::Now);
        stop.now();
        peer.link_down(shared, before, "the peer has made a new link");
    }
    compare_functions(shared, peer, hello.digest);
    Ok(number)
}

/// Says once for each link that two programs differ: calls between them may fail. The caller holds no lock.
pub(super) fn compare_functions(shared: &Shared, peer: &Peer, digest: u64) {
    if digest != shared.functions_digest && digest != 0 && shared.functions_digest != 0 {
        tracing::debug!(peer = %peer.member.info, "its functions differ from this worker's");
        shared.watchers.tell(peer.id(), PeerEvent::OtherFunctions);
    }
}

fn limits(shared: &Shared) -> FrameLimits {
    FrameLimits { message_bytes_max: shared.config.message_bytes_max, parts_max: u32::from(u16::MAX) }
}

fn send(link: &Link, kind: u8, payload: Vec<u8>) {
    let header = Header { payload_bytes: payload.len() as u32, ..Header::control(kind, 0) };
    // A link that is down shows when its answer is awaited.
    let _ = link.sender.send(Frame { header, body: Body::new(payload) }, Flush::Now);
}
