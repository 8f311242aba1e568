//! Writes a report of a job that nobody has run: `cargo run -p rpc-profiler --example report -- report.html [STEPS]`.
//!
//! A picture of this or any other report, such as that of `parameter_server --profile DIR`, is made by a browser without a screen.
//! What is behind the `#` selects a call, which the page's addresses name, and can be left out:
//!
//! ```text
//! chromium --headless --no-sandbox --hide-scrollbars --window-size=1280,900 \
//!     --screenshot=docs/profile.png "file://$PWD/DIR/report.html#call-7"
//! ```

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
