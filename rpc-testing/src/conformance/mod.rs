//! What every [`Transport`] has to pass: the promises LK-1 to LK-5 as tests.
//!
//! ```
//! use std::io;
//! use std::sync::Arc;
//! use rpc_core::{BoxFuture, Transport};
//! use rpc_testing::conformance::Rig;
//! # use rpc_testing::MemoryNetwork;
//!
//! struct MyRig(MemoryNetwork);
//!
//! impl Rig for MyRig {
//!     fn bind(&self) -> BoxFuture<'_, io::Result<Arc<dyn Transport>>> {
//!         Box::pin(async { Ok(Arc::new(self.0.transport()) as Arc<dyn Transport>) })
//!     }
//! }
//!
//! rpc_testing::conformance!(MyRig(MemoryNetwork::new())); // in tests/conformance.rs: one #[test] per case
//! ```
//! Each case runs on a current-thread and on a multi-thread runtime, with a rig of its own. The case
//! that moves 1 GiB is ignored unless asked for (`cargo test -- --ignored`).
//!
//! **What is taken for granted**: the side that dials speaks first, as the handshake does, so a transport
//! may announce a link only when its first frame is there. **What is left out**: memory. That nothing is
//! allocated for a frame over the limits cannot be seen from here.

mod delivery;
mod ending;
mod harness;
mod limits;
mod pressure;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rpc_core::{BoxFuture, Transport};

pub use self::delivery::{
    a_frame_of_one_gibibyte_arrives_whole, cancelled_accepts_lose_no_link, cancelled_reads_lose_nothing,
    every_kind_of_flush_delivers, every_size_arrives_whole, frames_of_a_lane_arrive_in_order,
    one_transport_carries_many_links, parts_arrive_apart_and_aligned,
};
pub use self::ending::{
    a_dial_to_nobody_fails, a_peer_that_dies_ends_the_link, a_sender_that_dies_cuts_no_frame_short,
    a_silent_peer_is_no_end_and_harms_nobody, closing_delivers_what_was_queued, closing_now_ends_both_sides,
    dropping_both_halves_ends_the_link,
};
pub use self::harness::{Flavour, run};
pub use self::limits::{
    a_new_link_takes_no_more_than_a_handshake, limits_are_for_payload_and_parts_together,
};
pub use self::pressure::{
    a_goodbye_overtakes_nothing, a_reader_that_stops_holds_up_nobody_else, a_small_frame_passes_a_large_one,
    an_urgent_frame_passes_those_that_wait, both_sides_may_flood, frames_of_a_call_keep_their_order,
};

/// Makes transports of the kind that is to be tested.
pub trait Rig: Send + Sync + 'static {
    /// A new transport with an address of its own, on which the rig's other transports can dial it.
    fn bind(&self) -> BoxFuture<'_, io::Result<Arc<dyn Transport>>>;

    /// The transport's stated time of LK-3: how soon a link ends after its peer's process has.
    fn end_within(&self) -> Duration {
        Duration::from_secs(10)
    }
}

/// Makes one `#[test]` for each case of the [conformance suite](mod@crate::conformance), in the modules
/// `current_thread` and `multi_thread`.
///
/// The argument is an expression that makes a [`Rig`](crate::conformance::Rig); it is evaluated once for
/// each case. It cannot refer to local variables.
#[macro_export]
macro_rules! conformance {
    ($rig:expr $(,)?) => {
        mod current_thread {
            #[allow(unused_imports, reason = "a rig may be spelled out in full")]
            use super::*;
            $crate::__conformance_cases!($crate::conformance::Flavour::CurrentThread, $rig);
        }
        mod multi_thread {
            #[allow(unused_imports, reason = "a rig may be spelled out in full")]
            use super::*;
            $crate::__conformance_cases!($crate::conformance::Flavour::MultiThread, $rig);
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_cases {
    ($flavour:expr, $rig:expr) => {
        $crate::__conformance_cases!(@each $flavour, $rig;
            frames_of_a_lane_arrive_in_order
            every_size_arrives_whole
            parts_arrive_apart_and_aligned
            every_kind_of_flush_delivers
            cancelled_reads_lose_nothing
            cancelled_accepts_lose_no_link
            one_transport_carries_many_links
            a_new_link_takes_no_more_than_a_handshake
            limits_are_for_payload_and_parts_together
            a_small_frame_passes_a_large_one
            an_urgent_frame_passes_those_that_wait
            frames_of_a_call_keep_their_order
            a_goodbye_overtakes_nothing
            both_sides_may_flood
            a_reader_that_stops_holds_up_nobody_else
            closing_delivers_what_was_queued
            closing_now_ends_both_sides
            dropping_both_halves_ends_the_link
            a_peer_that_dies_ends_the_link
            a_sender_that_dies_cuts_no_frame_short
            a_silent_peer_is_no_end_and_harms_nobody
            a_dial_to_nobody_fails
        );
        #[test]
        #[ignore = "moves 1 GiB; ask for it with --ignored"]
        fn a_frame_of_one_gibibyte_arrives_whole() {
            $crate::conformance::run($flavour, $rig, |rig| {
                Box::pin($crate::conformance::a_frame_of_one_gibibyte_arrives_whole(rig))
            });
        }
    };
    (@each $flavour:expr, $rig:expr; $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                $crate::conformance::run($flavour, $rig, |rig| Box::pin($crate::conformance::$case(rig)));
            }
        )*
    };
}
