//! [`InFlight`]: what has been sent and not received, for assertions.

use rpc_core::Frame;
use rpc_core::wire::Header;

use super::flight::frame_bytes;
use super::link::{At, LinkState, SideIndex};

/// A frame that was sent and has not been received.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InFlight {
    /// Address of the sender.
    pub from: String,
    /// Address of the receiver.
    pub to: String,
    /// The frame's header.
    pub header: Header,
    /// Its size on a wire, header included, in bytes.
    pub len_bytes: u64,
    /// Where it is.
    pub stage: Stage,
}

/// How far a frame has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// In the sender's outbox, for want of a flush or of room in the window.
    Queued,
    /// On its way, or behind one that is.
    Travelling,
    /// Held by a rule.
    Held,
    /// Stopped by a partition.
    Partitioned,
    /// There, and not read yet.
    Arrived,
}

/// What side `from` of a link has sent and the other side has not received, in the order of sending.
pub(super) fn under_way(link: &LinkState, from: SideIndex, at: &At<'_>) -> Vec<InFlight> {
    let addresses: [&str; 2] = link.addresses().into();
    let entry = |frame: &Frame, stage| InFlight {
        from: addresses[from].to_owned(),
        to: addresses[1 - from].to_owned(),
        header: frame.header,
        len_bytes: frame_bytes(frame),
        stage,
    };
    let partitioned = link.is_blocked(from, at);
    let (outbox, flight) = link.under_way(from);
    let flying = flight.in_order().into_iter().map(|flying| {
        let stage = match flying.held {
            Some(_) => Stage::Held,
            None if partitioned => Stage::Partitioned,
            None if flying.arrival > at.now => Stage::Travelling,
            None => Stage::Arrived,
        };
        entry(&flying.frame, stage)
    });
    flying.chain(outbox.iter().map(|frame| entry(frame, Stage::Queued))).collect()
}
