//! A parameter server: one process holds a network's parameters, others train it.
//!
//! ```text
//! cargo run --release --example parameter_server
//! ```
//!
//! starts four processes on this machine: the worker `ps`, which holds the four parameters of a network with
//! one hidden layer, and `trainer0` to `trainer2`. All state is in values behind references, and no process has
//! globals: with `worker.remote` the server makes a shard for each parameter, where it is itself, and a trainer
//! on each of the others, which is given references to the shards. In each round every trainer pulls the
//! parameters, computes the gradient over its part of a batch of handwritten digits, and pushes it; the shards
//! add the parts up and take a step. Pulling and pushing are methods of the shards. Parameters and gradients
//! are `rpc::Tensor`s: their bytes travel beside the messages.
//!
//! When the server is done it drops its references to the trainers, with those their references to the shards
//! go, and at shutdown nothing may have leaked.
//!
//! Rounds are synchronous and everything random comes from `--seed`, so that the same seed, number of
//! processes and machine give the same network. Under another launcher it runs as well:
//! `rpcrun --nproc 4 -- target/release/examples/parameter_server`.
//!
//! With `--profile DIR` the server profiles the job: what it calls, and what the trainers do for it.
//!
//! Start reading at [`server`] (who makes what and calls whom), then [`shard`] and [`trainer`] (what is called).

// Reading order: what is computed, who computes what, who calls whom, what the user sees.
mod data;
mod model;
mod rng;

mod plan;
mod server;
mod shard;
mod trainer;
mod worker;

mod flags;
mod launcher;
mod summary;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use tracing_subscriber::filter::LevelFilter;

use crate::flags::Flags;

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    let rank = std::env::var("RANK").ok();
    let level = match &rank {
        _ if flags.verbose => LevelFilter::DEBUG,
        // All that a trainer could tell of itself is that it waits for the server.
        Some(rank) if rank != "0" => LevelFilter::WARN,
        _ => LevelFilter::INFO,
    };
    let colours = io::stderr().is_terminal();
    tracing_subscriber::fmt().with_max_level(level).with_ansi(colours).with_writer(io::stderr).init();
    let ended = match rank {
        None => launcher::launch(&flags).await,
        Some(rank) => work(&flags, &rank).await,
    };
    ended.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

async fn work(flags: &Flags, rank: &str) -> anyhow::Result<ExitCode> {
    let rank = rank.parse().with_context(|| {
        format!("RANK is {rank:?}, not a rank; unset it to start the whole job from here")
    })?;
    worker::run(flags, rank).await?;
    Ok(ExitCode::SUCCESS)
}
