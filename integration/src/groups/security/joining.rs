//! Workers with the wrong secrets, or none: they are told so, and the job goes on without them.

use anyhow::{Result, bail, ensure};
use integration::part::{Part, say};
use integration::runner::security::{Authority, Dates, Security, forget};
use integration::runner::stage::Stage;
use integration::scenario::{Scenario, leave};
use rpc::prelude::*;
use rpc::rpc_core::StoreError;
use tokio::process::Command;

#[rpc::function(inline)]
fn ping() {}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        refused("security::without_the_token", &[Security::Token], |_, command| {
            forget(command);
            Ok(())
        }),
        refused("security::with_another_token", &[Security::Token], |_, command| {
            command.env("RPC_JOIN_TOKEN", rpc::JoinToken::random()?.expose());
            Ok(())
        }),
        refused("security::without_a_certificate", &[Security::Ca], |_, command| {
            forget(command);
            Ok(())
        }),
        refused("security::with_a_token_in_place_of_a_certificate", &[Security::Ca], |_, command| {
            forget(command);
            command.env("RPC_JOIN_TOKEN", rpc::JoinToken::random()?.expose());
            Ok(())
        }),
        refused("security::with_a_foreign_certificate", &[Security::Ca], |stage, command| {
            let stranger = Authority::new("integration")?;
            stranger.write(stage.folder(), "foreign", &stage.hosts(), Dates::Now)?.give(command);
            Ok(())
        }),
        // It trusts the right authority, and shows what another one has signed.
        refused(
            "security::with_a_foreign_certificate_and_the_right_authority",
            &[Security::Ca],
            |stage, command| {
                let stranger = Authority::new("integration")?;
                let mut files = stranger.write(stage.folder(), "foreign", &stage.hosts(), Dates::Now)?;
                files.authorities = stage.keys().files(0)?.authorities.clone();
                files.give(command);
                Ok(())
            },
        ),
        refused("security::with_an_expired_certificate", &[Security::Ca], |stage, command| {
            let authority = stage.keys().authority()?;
            authority.write(stage.folder(), "expired", &stage.hosts(), Dates::LongAgo)?.give(command);
            Ok(())
        }),
        // The store has a token, and the worker expects none: it is not fooled into an open one, nor the other way.
        Scenario::new("security::with_a_token_for_an_open_store", 2, joins)
            .script(async |stage: &mut Stage| {
                check(stage, |_, command| {
                    command.env("RPC_JOIN_TOKEN", rpc::JoinToken::random()?.expose());
                    Ok(())
                })
                .await
            })
            .secured(&[Security::Open]),
    ]
}

fn refused(
    name: &'static str,
    securities: &'static [Security],
    change: impl Fn(&Stage, &mut Command) -> Result<()> + Copy + 'static,
) -> Scenario {
    Scenario::new(name, 2, joins)
        .script(async move |stage: &mut Stage| check(stage, change).await)
        .secured(securities)
}

async fn joins(part: Part) -> Result<()> {
    if std::env::var_os("IMPOSTOR").is_some() {
        match part.builder().init().await {
            Err(InitError::Store(error @ StoreError::Denied { .. })) => say(format_args!("DENIED {error}")),
            Err(other) => bail!("{other:?}: {other}"),
            Ok(_) => bail!("it got in"),
        }
        return Ok(());
    }
    let worker = part.init().await?;
    for info in worker.workers() {
        worker.rpc_async(info, ping, ()).await?;
    }
    leave(&worker).await
}

/// Starts a worker 1 whose secrets `change` has spoilt, and then the job.
async fn check(stage: &mut Stage, change: impl Fn(&Stage, &mut Command) -> Result<()>) -> Result<()> {
    let mut command = stage.launched(1).await?;
    change(stage, &mut command)?;
    let impostor = stage.spawn_named("impostor", command.env("IMPOSTOR", "1"))?;
    let text = impostor.says("DENIED").await?;
    ensure!(text.contains(&stage.host().to_string()), "{text}");
    stage.all_succeed().await?;
    stage.start().await?;
    stage.all_succeed().await
}
