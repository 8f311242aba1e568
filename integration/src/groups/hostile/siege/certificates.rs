//! Handshakes of TLS and QUIC with certificates that do not count, and with one that counts for somebody else.

use anyhow::Result;
use integration::runner::security::{Authority, Dates, Security};
use integration::runner::stage::Stage;
use integration::scenario::Scenario;
use rpc::rpc_core::wire::Hello;
use rpc::rpc_core::{Incarnation, Kind, WorkerId};
use tokio::process::Command;

use super::super::attacker::{Attacker, Dialler, all};
use super::super::stranger::{frame_of, hello_to};
use super::floods::{AT_A_TIME, FLOOD, request};
use super::siege;

pub(super) fn scenarios() -> Vec<Scenario> {
    let sieges = [
        siege("hostile::siege_with_a_foreign_certificate", shakes_hands, foreign),
        siege("hostile::siege_with_an_expired_certificate", shakes_hands, expired),
        siege("hostile::siege_with_another_workers_certificate", claims_to_be_worker1, of_worker2),
    ];
    sieges.map(|siege| siege.secured(&[Security::Ca])).into()
}

fn foreign(stage: &Stage, command: &mut Command) -> Result<()> {
    let mut files =
        Authority::new("integration")?.write(stage.folder(), "foreign", &stage.hosts(), Dates::Now)?;
    files.authorities = stage.keys().files(0)?.authorities.clone();
    files.give(command);
    Ok(())
}

fn expired(stage: &Stage, command: &mut Command) -> Result<()> {
    stage.keys().authority()?.write(stage.folder(), "expired", &stage.hosts(), Dates::LongAgo)?.give(command);
    Ok(())
}

fn of_worker2(stage: &Stage, command: &mut Command) -> Result<()> {
    stage.keys().files(2)?.give(command);
    Ok(())
}

/// Goes through the handshake, and on as if that had been all.
async fn shakes_hands(attacker: &Attacker) -> Result<()> {
    flood(attacker, 2).await
}

/// The handshake succeeds, and what follows is worker1's own introduction: it is refused as another's (EN-6).
async fn claims_to_be_worker1(attacker: &Attacker) -> Result<()> {
    flood(attacker, 1).await
}

/// Says what a worker of rank `claimed` would say, and calls.
async fn flood(attacker: &Attacker, claimed: u32) -> Result<()> {
    let target = &attacker.target;
    let dialler = Dialler::from_env(target)?;
    let hello = Hello {
        incarnation: Incarnation(target.incarnations[claimed as usize]),
        expected_incarnation: Incarnation(target.incarnations[0]),
        id: WorkerId(claimed),
        name: format!("worker{claimed}"),
        ..hello_to(&target.job)
    };
    let bytes = [frame_of(&hello), request(Kind::CALL)?].concat();
    let lane = async |_| loop {
        // A tenth of what costs nothing is a flood of handshakes.
        if attacker.attempt() == FLOOD / 10 {
            attacker.under_way();
        }
        let _refused = dialler.send(&bytes).await;
    };
    all::<(), _>((0..AT_A_TIME).map(lane)).await?;
    Ok(())
}
