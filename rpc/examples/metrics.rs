//! Two workers that call each other, and an endpoint at which Prometheus finds out how they do.
//!
//! ```console
//! $ cargo run --example metrics --features metrics
//! serving http://127.0.0.1:9464/metrics
//! $ curl -s http://127.0.0.1:9464/metrics
//! rpc_calls_total{function="metrics::count_words",outcome="ok"} 1234
//! ```
//!
//! In a job of several processes each has an endpoint of its own: give each another port.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use rpc::prelude::*;
use rpc::{MemoryStore, Metrics};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

#[derive(Parser)]
struct Options {
    /// Where to serve the metrics.
    #[arg(long, default_value = "127.0.0.1:9464")]
    listen: String,
    /// Make this many calls, print the metrics and end, instead of serving them.
    #[arg(long)]
    calls: Option<u64>,
}

#[rpc::function]
async fn count_words(text: String) -> Result<usize, String> {
    match text.split_whitespace().count() {
        0 => Err("nothing to count".to_owned()),
        words => Ok(words),
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    // The recorder is there before the workers, so that it hears of their first calls.
    let recorder = PrometheusBuilder::new()
        .set_buckets(&[0.000_05, 0.000_1, 0.000_25, 0.001, 0.01, 0.1, 1.0])
        .context("buckets")?
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|error| anyhow::anyhow!("{error}"))?;
    Metrics::describe();

    let store = Arc::new(MemoryStore::default());
    let start = |rank: u32| {
        let builder = Worker::builder_named_by_rank().rank(rank).world_size(2).store(store.clone());
        tokio::spawn(builder.observer(Metrics).init())
    };
    let (first, second) = (start(0), start(1));
    let (first, second) = (first.await??, second.await??);

    if let Some(calls) = options.calls {
        for call in 0..calls {
            // Every tenth has nothing to count, to see how errors look.
            let text = if call % 10 == 9 { "" } else { "how many words are these" };
            let _ = first.rpc_async("worker1", count_words, (text.to_owned(),)).await;
        }
        print!("{}", scraped(&first, &handle));
        let (first, second) = tokio::join!(first.shutdown(), second.shutdown());
        first?;
        second?;
        return Ok(());
    }
    let listener = TcpListener::bind(&options.listen).await.context("the endpoint")?;
    println!("serving http://{}/metrics", listener.local_addr()?);
    let caller = first.clone();
    tokio::spawn(async move {
        loop {
            let _ = caller.rpc_async("worker1", count_words, ("a few words".to_owned(),)).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    loop {
        let (client, _) = listener.accept().await?;
        let text = scraped(&first, &handle);
        // One at a time is enough for a scraper; one that is slow is dropped.
        let _ = tokio::time::timeout(Duration::from_secs(5), answer(client, &text)).await;
    }
}

/// All metrics as Prometheus reads them.
fn scraped(worker: &Worker, handle: &PrometheusHandle) -> String {
    Metrics::record(worker);
    handle.run_upkeep(); // what the histograms have gathered
    handle.render()
}

async fn answer(client: TcpStream, text: &str) -> std::io::Result<()> {
    let mut client = BufReader::new(client);
    let mut line = String::new();
    // The request's head ends with an empty line; what it asks for does not matter, there is one page.
    while client.read_line(&mut line).await? > 2 {
        line.clear();
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        text.len()
    );
    client.write_all(head.as_bytes()).await?;
    client.write_all(text.as_bytes()).await?;
    client.shutdown().await
}
