//! Opening the store where the launcher says that the workers meet.

use std::time::Duration;

use rpc_core::StoreError;
use rpc_rendezvous::{LaunchEnv, Meeting, StoreHost, StoreSecurity, join, open_store};
use tokio::task::JoinSet;

use crate::support::{LONG, Manner, StandIn, client, free, server, worker};

fn meeting(address: &str, host_by: StoreHost) -> Meeting {
    let (host, port) = address.rsplit_once(':').unwrap();
    Meeting::Tcp { host: host.into(), port: port.parse().unwrap(), host_by }
}

/// Three ranks with torchrun's environment, whose launcher holds MASTER_PORT with a protocol of its own.
async fn meet_under_torchrun(manner: Manner) {
    let launcher = StandIn::listen(manner).await;
    let (addr, port) = launcher.address.rsplit_once(':').unwrap();
    let run_id = rpc_core::Incarnation::random().unwrap().to_string();
    let mut ranks = JoinSet::new();
    // Rank 0 last: the others are knocking before anybody opens.
    for rank in [1_u32, 2, 0] {
        let env = LaunchEnv::from_vars(|name| {
            Some(match name {
                "RANK" => rank.to_string(),
                "WORLD_SIZE" => "3".into(),
                "MASTER_ADDR" => addr.into(),
                "MASTER_PORT" => port.into(),
                "TORCHELASTIC_RUN_ID" => run_id.clone(),
                "TORCHELASTIC_RESTART_COUNT" => "0".into(),
                "TORCHELASTIC_USE_AGENT_STORE" => "True".into(),
                _ => return None,
            })
        })
        .unwrap();
        ranks.spawn(async move {
            let job = env.job.clone().unwrap();
            let opened = open_store(&env.require_meeting().unwrap(), rank, &job, LONG, &StoreSecurity::Open)
                .await
                .unwrap();
            assert_eq!(opened.hosted_at().is_some(), rank == 0);
            let mut me = worker(&format!("worker{rank}"), env.rank.unwrap(), env.world_size.unwrap());
            me.job = job;
            let joined = join(&opened.store, me).await.unwrap();
            let names: Vec<String> = joined.group.members().iter().map(|m| m.info.name.to_string()).collect();
            joined.leave().await;
            opened.close().await;
            names
        });
    }
    for names in ranks.join_all().await {
        assert_eq!(names, ["worker0", "worker1", "worker2"], "{manner:?}");
    }
}

#[tokio::test]
async fn under_torchrun_all_ranks_meet_beside_the_launchers_port() {
    for manner in [Manner::HangsUp, Manner::Says(b"\x00torch\x01"), Manner::Silent] {
        meet_under_torchrun(manner).await;
    }
}

#[tokio::test]
async fn rank_0_hosts_and_the_others_are_clients() {
    let free = free();
    let at = meeting(&free.address, StoreHost::Rank0);
    let (first, second) = tokio::join!(
        open_store(&at, 1, "j", LONG, &StoreSecurity::Open),
        open_store(&at, 0, "j", LONG, &StoreSecurity::Open)
    );
    let (first, second) = (first.unwrap(), second.unwrap());
    assert!(first.hosted_at().is_none() && second.hosted_at().is_some());
    first.store.set("k", b"v").await.unwrap();
    assert_eq!(second.store.get("k").await, Ok(Some(b"v".to_vec())));
}

#[tokio::test]
async fn the_launchers_store_makes_every_rank_a_client() {
    let (_server, address) = server().await;
    let opened = open_store(&meeting(&address, StoreHost::Launcher), 0, "j", LONG, &StoreSecurity::Open)
        .await
        .unwrap();
    assert_eq!(opened.hosted_at(), None);
    opened.store.set("k", b"v").await.unwrap();
}

#[tokio::test]
async fn a_port_taken_by_something_else_is_an_error_that_names_it_and_the_remedy() {
    for manner in [Manner::Says(b"220 mail ready\r\n"), Manner::HangsUp] {
        let service = StandIn::listen(manner).await;
        for rank in [0, 1] {
            let at = meeting(&service.address, StoreHost::Rank0);
            let error = open_store(&at, rank, "j", LONG, &StoreSecurity::Open).await.unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, StoreError::NotAStore { .. }), "{text}");
            assert!(text.contains(&service.address) && text.ends_with("choose another port"), "{text}");
        }
    }
}

#[tokio::test]
async fn a_store_that_nobody_hosts_is_unreachable() {
    let free = free();
    let address = free.address.clone();
    for host_by in [StoreHost::Rank0, StoreHost::Launcher, StoreHost::Rank0Beside] {
        let opened =
            open_store(&meeting(&address, host_by), 1, "j", Duration::from_millis(100), &StoreSecurity::Open)
                .await;
        assert!(matches!(opened, Err(StoreError::Unreachable { .. })), "{host_by:?}: {opened:?}");
    }
}

#[tokio::test]
async fn an_address_of_another_machine_cannot_be_resolved_into_a_hang() {
    let at = Meeting::Tcp { host: "no-such-host.invalid".into(), port: 1, host_by: StoreHost::Rank0 };
    for rank in [0, 1] {
        let opened = open_store(&at, rank, "j", Duration::from_millis(100), &StoreSecurity::Open).await;
        assert!(matches!(opened, Err(StoreError::Io { .. } | StoreError::Unreachable { .. })), "{opened:?}");
    }
}

/// Same port, same ranks, same names, other job: the second job shares the first one's store.
#[tokio::test]
async fn many_jobs_share_one_store_without_meeting() {
    let free = free();
    let at = meeting(&free.address, StoreHost::Rank0);
    let mut hosts = Vec::new();
    for job in ["a", "b", "c"] {
        let host = open_store(&at, 0, job, LONG, &StoreSecurity::Open).await.unwrap();
        let client = open_store(&at, 1, job, LONG, &StoreSecurity::Open).await.unwrap();
        assert_eq!(host.hosted_at().is_some(), job == "a");
        let (mut zero, mut one) = (worker("zero", 0, 2), worker("one", 1, 2));
        (zero.job, one.job) = (job.into(), job.into());
        let incarnations = (zero.incarnation, one.incarnation);
        let (zero, one) = tokio::join!(join(&host.store, zero), join(&client.store, one));
        let (zero, one) = (zero.unwrap(), one.unwrap());
        let members = zero.group.members();
        assert_eq!((members[0].incarnation, members[1].incarnation), incarnations);
        assert_eq!(members, one.group.members());
        hosts.push(host);
    }
}

#[tokio::test]
async fn a_rank_0_that_shares_a_store_takes_the_address_over_when_it_goes_away() {
    let free = free();
    let address = free.address.clone();
    let at = meeting(&address, StoreHost::Rank0);
    let first = open_store(&at, 0, "a", LONG, &StoreSecurity::Open).await.unwrap();
    let second = open_store(&at, 0, "b", LONG, &StoreSecurity::Open).await.unwrap();
    let one = tokio::spawn({
        let at = at.clone();
        async move {
            let opened = open_store(&at, 1, "b", LONG, &StoreSecurity::Open).await.unwrap();
            join(&opened.store, worker("one", 1, 2)).await.map(|joined| joined.group.world_size())
        }
    });
    first.close().await;
    let zero = join(&second.store, worker("zero", 0, 2)).await.unwrap();
    assert_eq!(zero.group.world_size(), 2);
    assert_eq!(one.await.unwrap(), Ok(2));
    client(&address).await.set("k", b"v").await.unwrap();
}

#[tokio::test]
async fn workers_meet_in_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let at = Meeting::File(dir.path().join("meet"));
    let mut ranks = JoinSet::new();
    for rank in 0..3 {
        let at = at.clone();
        ranks.spawn(async move {
            let opened = open_store(&at, rank, "j", LONG, &StoreSecurity::Open).await.unwrap();
            join(&opened.store, worker(&format!("w{rank}"), rank, 3)).await.unwrap().group.world_size()
        });
    }
    assert_eq!(ranks.join_all().await, [3, 3, 3]);

    let nowhere = Meeting::File(dir.path().join("no/such/folder"));
    assert!(matches!(
        open_store(&nowhere, 0, "j", LONG, &StoreSecurity::Open).await,
        Err(StoreError::Io { .. })
    ));
}

/// A job that starts again in the same processes meets again at the same place, every time.
async fn meet_again_and_again(host_by: StoreHost) {
    let free = free();
    let at = meeting(&free.address, host_by);
    let mut ranks = JoinSet::new();
    for rank in 0..3_u32 {
        let at = at.clone();
        ranks.spawn(async move {
            for _round in 0..4 {
                let opened = open_store(&at, rank, "again", LONG, &StoreSecurity::Open).await.unwrap();
                let joined = join(&opened.store, worker(&format!("w{rank}"), rank, 3)).await.unwrap();
                assert_eq!(joined.group.world_size(), 3);
                joined.leave().await;
                drop(opened);
            }
        });
    }
    ranks.join_all().await;
}

#[tokio::test]
async fn a_job_meets_again_at_the_port_of_rank_0() {
    meet_again_and_again(StoreHost::Rank0).await;
}

#[tokio::test]
async fn a_job_meets_again_beside_a_port() {
    meet_again_and_again(StoreHost::Rank0Beside).await;
}
