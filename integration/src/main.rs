//! The scenarios of this workspace.
//!
//! ```text
//! cargo xtask integration                          everything, with the default backend
//! cargo xtask integration --filter shutdown::      one group
//! cargo xtask integration --backend all --json     one JSON object a scenario
//! ```
//!
//! What a scenario is stands at [`Scenario`](integration::scenario::Scenario); all of them are listed at [`groups`]. This program
//! has no tests of its own, so that it is compiled once: what could have them is in the library.
#![forbid(unsafe_code)]

mod groups;

use std::process::ExitCode;

use integration::Scenarios;

fn main() -> ExitCode {
    integration::main(&Scenarios { all: groups::all(), selftest: groups::selftest() })
}
