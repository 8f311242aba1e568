//! Secrets that are overheard: a relay between a worker and the store, and what it has recorded, said again.
//!
//! On loopback a proof of the token holds for the address that was dialled (TX-1), so a worker is not fooled by a
//! relay at another one. Where there is TLS the relay sees what it may see, and passes it on.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, ensure};
use integration::part::{Part, say};
use integration::runner::security::Security;
use integration::runner::stage::Stage;
use integration::scenario::{Scenario, leave};
use rpc::prelude::*;
use rpc::rpc_core::StoreError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{CLOSED_IN_TIME, closed};

#[rpc::function(inline)]
fn ping() {}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("hostile::store_behind_a_relay", 2, meets)
            .script(relayed)
            .secured(&[Security::Token, Security::Ca]),
    ]
}

async fn meets(part: Part) -> Result<()> {
    let worker = match part.builder().init().await {
        Err(InitError::Store(error @ StoreError::Denied { .. })) if std::env::var_os("RELAYED").is_some() => {
            say(format_args!("DENIED {error}"));
            return Ok(());
        }
        other => other?,
    };
    for info in worker.workers() {
        worker.rpc_async(info, ping, ()).await?;
    }
    leave(&worker).await
}

async fn relayed(stage: &mut Stage) -> Result<()> {
    let (relay, port) = (stage.listener().await?, stage.store_port().await?);
    let store = format!("{}:{port}", stage.host());
    let mut command = stage.launched(1).await?;
    command.env("MASTER_PORT", relay.local_addr()?.port().to_string()).env("RELAYED", "1");
    stage.spawn_named("worker1 behind the relay", &mut command)?;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let job = async {
        if stage.security() == Security::Token {
            stage.process(0)?.says("DENIED").await?;
        } else {
            // It gets in, as it would through any router.
            let mut command = stage.launched(0).await?;
            stage.spawn(0, &mut command)?;
        }
        stage.all_succeed().await
    };
    tokio::select! {
        done = job => done?,
        failed = pass_on(&relay, &store, &heard) => failed?,
    }
    let recorded = std::mem::take(&mut *heard.lock().unwrap_or_else(PoisonError::into_inner));
    ensure!(recorded.len() > 40, "the relay has heard {} bytes", recorded.len());

    let mut link = TcpStream::connect(&store).await?;
    link.write_all(&recorded).await?;
    link.shutdown().await?;
    closed(&mut link, CLOSED_IN_TIME).await?;
    stage.note(format!("replayed {} bytes", recorded.len()));
    if stage.security() == Security::Token {
        stage.start().await?;
    }
    stage.all_succeed().await
}

/// Passes on whoever comes, for ever; `heard` gets what they say.
async fn pass_on(relay: &TcpListener, store: &str, heard: &Arc<Mutex<Vec<u8>>>) -> Result<()> {
    loop {
        let (client, _) = relay.accept().await?;
        let (store, heard) = (store.to_owned(), Arc::clone(heard));
        tokio::spawn(async move { between(client, &store, &heard).await });
    }
}

async fn between(client: TcpStream, store: &str, heard: &Mutex<Vec<u8>>) -> Result<()> {
    let (mut client_reads, mut client_writes) = client.into_split();
    let (mut store_reads, mut store_writes) = TcpStream::connect(store).await?.into_split();
    let onward = async {
        let mut buffer = [0; 4096];
        loop {
            match client_reads.read(&mut buffer).await? {
                0 => return store_writes.shutdown().await,
                read => {
                    heard.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..read]);
                    store_writes.write_all(&buffer[..read]).await?;
                }
            }
        }
    };
    let back = async {
        tokio::io::copy(&mut store_reads, &mut client_writes).await?;
        client_writes.shutdown().await
    };
    // One side resets the connection where it does not like the other.
    let _ended = tokio::join!(onward, back);
    Ok(())
}
