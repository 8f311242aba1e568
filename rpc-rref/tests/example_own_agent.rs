//! The example of an agent written by hand does what it says.

use std::sync::mpsc;
use std::time::Duration;

#[path = "../examples/own_agent.rs"]
mod own_agent;

#[test]
fn references_over_an_agent_written_by_hand_are_counted_to_the_end() {
    let (end, ended) = mpsc::sync_channel(1);
    // It waits for what it asserts, so a fault in it shows as one that does not end.
    std::thread::spawn(move || end.send(own_agent::main().map_err(|error| error.to_string())));
    ended.recv_timeout(Duration::from_secs(30)).expect("it ends").expect("it ends well");
}
