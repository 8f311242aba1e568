//! Writes a report of a job that nobody has run: `cargo run -p rpc-profiler --example report -- report.html [STEPS]`.
//!
//! The picture of a report, as in the README, is made by a browser without a screen:
//! `chromium --headless --no-sandbox --hide-scrollbars --window-size=1280,900 --screenshot=profile.png "file://$PWD/report.html#call-7"`.

use std::fs::File;
use std::time::Instant;

#[path = "../tests/common/mod.rs"]
mod common;

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| "report.html".to_owned());
    let steps = arguments.next().and_then(|steps| steps.parse().ok()).unwrap_or(40);
    let profile = common::training(steps);
    let began = Instant::now();
    profile.write_report(File::create(&path)?)?;
    println!("{path}: {} calls, written in {:?}", profile.calls.len(), began.elapsed());
    Ok(())
}
