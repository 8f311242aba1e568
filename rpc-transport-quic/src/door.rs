//! Incoming connections: from the first datagram to a link that `accept` announces.
//!
//! ```text
//!  Initial ─► many in their handshake? ─► Retry: show that you receive at your address
//!         └─► anteroom: TLS handshake, both certificates ─► lanes ─► accepted links ─► accept()
//! ```
//! A handshake costs this side a signature and some kilobytes, so there are at most [`HANDSHAKES_MAX`] at a time and
//! none for longer than [`HANDSHAKE_TIMEOUT`]. From [`RETRY_FROM`] on a client has to come a second time with
//! a token that was sent to its address, which costs this side no state, so that a flood from forged addresses
//! stays outside. What a peer without a certificate of the group sends ends here: nothing of it is read as a frame.

use std::sync::Arc;

use quinn::{Connection, Endpoint, Incoming};
use rpc_core::{Anteroom, Link};
use rpc_security::rustls_configs;
use rustls::pki_types::CertificateDer;
use tokio::sync::mpsc;

use crate::bounds::{HANDSHAKE_TIMEOUT, HANDSHAKES_MAX, RETRY_FROM};
use crate::config::Configs;
use crate::end::{self, Code};
use crate::lanes;
use crate::link::Shared;
use crate::receiver::QuicReceiver;
use crate::sender::QuicSender;
use crate::task;
use crate::vigil::Watched;

/// Runs until the endpoint is closed or nobody accepts any more.
pub(crate) async fn run(
    endpoint: Endpoint,
    configs: Configs,
    watched: Arc<Watched>,
    accepted: mpsc::Sender<Link>,
) {
    let anteroom = Anteroom::new("QUIC connections", HANDSHAKES_MAX, HANDSHAKE_TIMEOUT);
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            () = accepted.closed() => None,
        };
        let Some(incoming) = incoming else { return };
        if anteroom.len() >= RETRY_FROM && !incoming.remote_address_validated() {
            // Fails only where the address is validated.
            let _ = incoming.retry();
            continue;
        }
        let handshake = handshake(incoming, configs.clone(), Arc::clone(&watched));
        let admitted = anteroom.admit(handshake);
        let accepted = accepted.clone();
        tokio::spawn(async move {
            match admitted.await {
                Ok(Some(link)) => {
                    // Nobody accepts, or far too slowly: dropping the link closes it.
                    if accepted.try_send(link).is_err() {
                        tracing::debug!("dropping an accepted link: nobody takes it");
                    }
                }
                Ok(None) => {}
                Err(dismissed) => tracing::debug!("an incoming connection: {dismissed}"),
            }
        });
    }
}

async fn handshake(incoming: Incoming, configs: Configs, watched: Arc<Watched>) -> Option<Link> {
    let peer = incoming.remote_address();
    let config = Arc::clone(configs.server.to(peer.ip()));
    let connected = async { incoming.accept_with(config)?.await };
    match connected.await {
        Ok(connection) => link(connection, &watched).await,
        Err(error) => {
            tracing::debug!(%peer, error = %end::as_io(&error), "an incoming connection failed in its handshake");
            None
        }
    }
}

/// Makes a link of a connection whose handshake is done. `None` if it has ended meanwhile.
pub(crate) async fn link(connection: Connection, watched: &Watched) -> Option<Link> {
    let Ok(lanes) = lanes::open(&connection).await else { return None };
    let identity =
        connection.peer_identity().and_then(|shown| shown.downcast::<Vec<CertificateDer<'static>>>().ok());
    let fingerprint = rustls_configs::peer_fingerprint(identity.as_deref().map(Vec::as_slice));
    if fingerprint.is_none() {
        // The TLS configurations do not let this happen.
        connection.close(Code::Refused.into(), b"no certificate");
        return None;
    }
    let remote = connection.remote_address().to_string();
    let shared = Arc::new(Shared::new(connection, lanes));
    watched.add(&shared);
    tokio::spawn(task::run(Arc::clone(&shared)));
    Some(Link {
        receiver: Box::new(QuicReceiver::new(Arc::clone(&shared))),
        sender: Arc::new(QuicSender::new(shared)),
        remote,
        fingerprint,
    })
}
