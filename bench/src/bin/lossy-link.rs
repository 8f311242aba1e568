//! A network of two hosts whose link loses and delays packets: two network namespaces with a tunnel device
//! each, and this process between them. For measuring backends where loopback says nothing.
//!
//! ```text
//! namespace rpc-a, 10.77.0.1 ─ tun ─► read, lose, delay, write ─► tun ─ 10.77.0.2, namespace rpc-b
//! ```
//! ```text
//! sleep 1h | lossy-link --loss 0.01 --delay-ms 5 &
//! export RPC_JOIN_TOKEN=$(openssl rand -hex 32) RENDEZVOUS="--nnodes 2 --master-addr 10.77.0.1 --master-port 29500"
//! ip netns exec rpc-b rpcrun $RENDEZVOUS --node-rank 1 --backend quic -- target/release/examples/probe &
//! ip netns exec rpc-a rpcrun $RENDEZVOUS --node-rank 0 --backend quic -- target/release/examples/probe
//! ```
//! Linux and root only. Programs are started in a namespace with `ip netns exec rpc-a …`. Packets are lost one by
//! one, each with the same probability, from a seed; whole ones of up to the MTU, as segmentation is left to the
//! senders' systems. The queue of a direction holds [`QUEUE_PACKETS`]; further packets are dropped, as a router does.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;

/// Packets that wait in one direction: 12 MB of the largest, 100 ms at 1 Gbit/s.
const QUEUE_PACKETS: usize = 8_192;
const MTU: usize = 1_500;
const ENDS: [(&str, &str, &str); 2] =
    [("rpc-a", "rpctun-a", "10.77.0.1"), ("rpc-b", "rpctun-b", "10.77.0.2")];

/// Makes the network, prints `ready`, and keeps it until its standard input ends
#[derive(Parser)]
struct Flags {
    /// Probability with which each packet is lost
    #[arg(long, default_value_t = 0.0)]
    loss: f64,
    /// Delay of each packet in each direction, in milliseconds
    #[arg(long, default_value_t = 0.0)]
    delay_ms: f64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    let ends = [tun(ENDS[0].1)?, tun(ENDS[1].1)?];
    for (namespace, device, address) in ENDS {
        let _ = ip(&["netns", "del", namespace]);
        ip(&["netns", "add", namespace])?;
        ip(&["link", "set", device, "netns", namespace])?;
        ip(&["-n", namespace, "addr", "add", &format!("{address}/24"), "dev", device])?;
        ip(&["-n", namespace, "link", "set", device, "mtu", &MTU.to_string(), "up"])?;
        ip(&["-n", namespace, "link", "set", "lo", "up"])?;
    }
    let delay = Duration::from_secs_f64(flags.delay_ms / 1e3);
    for (from, to, seed) in [(0, 1, flags.seed), (1, 0, flags.seed ^ 0x9e37_79b9_7f4a_7c15)] {
        forward(ends[from].try_clone()?, ends[to].try_clone()?, flags.loss, delay, seed);
    }
    println!("ready");
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    for (namespace, ..) in ENDS {
        ip(&["netns", "del", namespace])?;
    }
    Ok(())
}

type Queue = Arc<(Mutex<VecDeque<(Instant, Vec<u8>)>>, Condvar)>;

fn forward(mut from: File, mut to: File, loss: f64, delay: Duration, mut seed: u64) {
    let queue: Queue = Arc::default();
    let filled = Arc::clone(&queue);
    std::thread::spawn(move || {
        let mut packet = [0; 65_536];
        while let Ok(len) = from.read(&mut packet) {
            // xorshift64: the same losses for the same seed and traffic.
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            if (seed >> 11) as f64 / (1_u64 << 53) as f64 >= loss {
                let mut waiting = filled.0.lock().expect("nobody panics with it");
                if waiting.len() < QUEUE_PACKETS {
                    waiting.push_back((Instant::now() + delay, packet[..len].to_vec()));
                    filled.1.notify_one();
                }
            }
        }
    });
    std::thread::spawn(move || {
        loop {
            let (due, packet) = {
                let mut waiting = queue.0.lock().expect("nobody panics with it");
                loop {
                    match waiting.pop_front() {
                        Some(first) => break first,
                        None => waiting = queue.1.wait(waiting).expect("nobody panics with it"),
                    }
                }
            };
            let left = due.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                // The delay itself: packets leave in the order in which they came, so nothing else is due before.
                std::thread::sleep(left);
            }
            // A device that is full, or going away, loses the packet.
            let _ = to.write(&packet);
        }
    });
}

fn tun(name: &str) -> Result<File> {
    let file = OpenOptions::new().read(true).write(true).open("/dev/net/tun").context("/dev/net/tun")?;
    // SAFETY: plain data, for which all zeros is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: the descriptor is open, and the request is an `ifreq` that outlives the call.
    let done = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, &mut request) };
    ensure!(done == 0, "{name}: {}; this needs root", std::io::Error::last_os_error());
    Ok(file)
}

fn ip(args: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(args).output().context("ip, of iproute2")?;
    ensure!(output.status.success(), "ip {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
    Ok(())
}
