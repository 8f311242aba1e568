//! What is measured: each workload in its variations.

/// One measurement.
#[derive(Debug)]
pub(crate) struct Case {
    /// As it stands in the results. Begins with the name of the workload.
    pub(crate) id: &'static str,
    pub(crate) what: &'static str,
    pub(crate) work: Work,
    pub(crate) pin: Pin,
}

/// What the client does with the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// One small call after the other.
    Latency,
    /// Small calls, so many at a time, through one client.
    Overlap { in_flight: usize },
    /// Large messages with small answers, one after the other. The server keeps them, or drops each at once.
    Upload { mib: usize, keep: bool },
    /// Large messages that come back.
    EchoBulk { mib: usize },
    /// One server, many clients with a connection each.
    Clients { count: u32 },
    /// Creating a value at the server, one call of its method, and dropping it.
    Cycle { at_a_time: usize },
    /// Small calls while large messages flow.
    Mixed { mib: usize },
    /// So many processes that start as one group, call each other once, and leave it.
    Start { members: u32 },
}

/// What a system has to offer for a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feature {
    /// Small calls, one after the other.
    Calls,
    /// Several calls at a time through each of so many clients in one process.
    Overlap { clients: u32 },
    /// Messages of so many MiB.
    Bulk { mib: usize },
    /// Small calls and messages of so many MiB at a time.
    Mixed { mib: usize },
    /// References to values at the server.
    References,
    /// Members that meet, and that leave together when their work is done.
    Group,
}

/// Which processors the two processes run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pin {
    /// Both on the first: what a call costs in computing, without waking a processor that sleeps.
    Together,
    /// The server on the first, the client on the second. Groups run where the system puts them.
    Apart,
}

impl Work {
    /// How many clients there are.
    pub(crate) fn clients(self) -> u32 {
        match self {
            Self::Clients { count } => count,
            Self::Start { members } => members - 1,
            _ => 1,
        }
    }

    pub(crate) fn needs(self) -> Feature {
        match self {
            Self::Latency => Feature::Calls,
            Self::Overlap { .. } | Self::Clients { .. } => Feature::Overlap { clients: self.clients() },
            Self::Upload { mib, .. } | Self::EchoBulk { mib } => Feature::Bulk { mib },
            Self::Mixed { mib } => Feature::Mixed { mib },
            Self::Cycle { .. } => Feature::References,
            Self::Start { .. } => Feature::Group,
        }
    }
}

impl Pin {
    /// The number of the client's processor; the server's is 0.
    pub(crate) fn client(self) -> usize {
        match self {
            Self::Together => 0,
            Self::Apart => 1,
        }
    }
}

const fn apart(id: &'static str, what: &'static str, work: Work) -> Case {
    Case { id, what, work, pin: Pin::Apart }
}

/// All of them, in the order in which they are measured.
pub(crate) const CASES: &[Case] = &[
    Case {
        id: "W1-one-cpu",
        what: "latency of a 64-byte echo, both processes on one CPU",
        work: Work::Latency,
        pin: Pin::Together,
    },
    apart("W1-two-cpus", "latency of a 64-byte echo, one CPU each", Work::Latency),
    apart("W2-64", "64-byte echoes, 64 in flight", Work::Overlap { in_flight: 64 }),
    apart("W2-1024", "64-byte echoes, 1024 in flight", Work::Overlap { in_flight: 1024 }),
    apart("W3-1-fresh", "uploads of 1 MiB of f32 that are kept", Work::Upload { mib: 1, keep: true }),
    apart("W3-1-reused", "uploads of 1 MiB of f32 that are dropped", Work::Upload { mib: 1, keep: false }),
    apart("W3-16-fresh", "uploads of 16 MiB of f32 that are kept", Work::Upload { mib: 16, keep: true }),
    apart("W3-16-reused", "uploads of 16 MiB of f32 that are dropped", Work::Upload { mib: 16, keep: false }),
    apart("W3-256-fresh", "uploads of 256 MiB of f32 that are kept", Work::Upload { mib: 256, keep: true }),
    apart(
        "W3-256-reused",
        "uploads of 256 MiB of f32 that are dropped",
        Work::Upload { mib: 256, keep: false },
    ),
    apart("W3-echo-1", "echo of 1 MiB of f32, both ways counted", Work::EchoBulk { mib: 1 }),
    apart("W4", "64-byte echoes, eight tasks sharing a client", Work::Overlap { in_flight: 8 }),
    apart("W5", "64-byte echoes, one server and 200 clients", Work::Clients { count: 200 }),
    apart("W6-1", "create a value, call its method, drop it", Work::Cycle { at_a_time: 1 }),
    apart("W6-64", "the same, 64 at a time", Work::Cycle { at_a_time: 64 }),
    apart("W7", "p99 of a 64-byte echo while 256 MiB tensors flow", Work::Mixed { mib: 256 }),
    apart(
        "W8-4",
        "from the start of 4 processes to their first calls, and leaving",
        Work::Start { members: 4 },
    ),
    apart("W8-16", "the same of 16 processes", Work::Start { members: 16 }),
    apart("W8-32", "the same of 32 processes", Work::Start { members: 32 }),
];

/// The case with this id.
pub(crate) fn find(id: &str) -> anyhow::Result<&'static Case> {
    CASES.iter().find(|case| case.id == id).ok_or_else(|| anyhow::anyhow!("there is no case {id}"))
}
