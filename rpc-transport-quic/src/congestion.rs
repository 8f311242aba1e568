//! Congestion control between two processes of one host.
//!
//! There is no queue in a network to spare here: a datagram is copied from one socket into the buffer of the other.
//! What has to be spared is that buffer, which all links of a worker share. So this is a window that halves
//! when something is lost and grows back, and starts large, because nothing has to be found out.
//!
//! Above all it does not *pace*. Pacing spreads a window over a round trip time that was measured, with timers of a
//! millisecond, where the real time is some ten microseconds. And a worker that computes for a second on its only
//! runtime thread makes its peers measure round trips of a second: paced by that, they would need many more
//! seconds to become fast again. quinn paces unless the window is beyond 4 GiB. So the window that it sees is either that
//! large, while less is in flight than our own window allows, or our own.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use quinn::congestion::{Controller, ControllerFactory};
use quinn_proto::RttEstimator;

use crate::bounds::{HERE_WINDOW_FIRST, HERE_WINDOW_MAX, HERE_WINDOW_MIN};

/// Makes [`Here`]s.
#[derive(Debug)]
pub(crate) struct HereConfig;

/// The window of one link to a process of this host.
#[derive(Clone, Debug)]
struct Here {
    window: u64,
    /// Counted up with what is sent, and set right with each acknowledgement.
    in_flight: u64,
    /// Losses of what was sent before this have been reacted to.
    reacted: Instant,
}

impl ControllerFactory for HereConfig {
    fn build(self: Arc<Self>, now: Instant, _current_mtu: u16) -> Box<dyn Controller> {
        Box::new(Here { window: HERE_WINDOW_FIRST, in_flight: 0, reacted: now })
    }
}

impl Controller for Here {
    fn on_sent(&mut self, _now: Instant, bytes: u64, _last_packet_number: u64) {
        self.in_flight += bytes;
    }

    fn on_ack(&mut self, _now: Instant, _sent: Instant, bytes: u64, app_limited: bool, _rtt: &RttEstimator) {
        self.in_flight = self.in_flight.saturating_sub(bytes);
        if !app_limited {
            // Doubles in 16 windows.
            self.window = (self.window + bytes / 16).min(HERE_WINDOW_MAX);
        }
    }

    fn on_end_acks(&mut self, _now: Instant, in_flight: u64, _app_limited: bool, _largest: Option<u64>) {
        self.in_flight = in_flight;
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, _persistent: bool, lost_bytes: u64) {
        self.in_flight = self.in_flight.saturating_sub(lost_bytes);
        if sent > self.reacted {
            self.reacted = now;
            self.window = (self.window / 2).max(HERE_WINDOW_MIN);
        }
    }

    fn on_mtu_update(&mut self, _new_mtu: u16) {}

    fn window(&self) -> u64 {
        if self.in_flight < self.window { u64::MAX } else { self.window }
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        HERE_WINDOW_FIRST
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
