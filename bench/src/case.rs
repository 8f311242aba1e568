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
    /// Small calls, so many at a time, through one client; `cpu` says whether their computing time is a result.
    Overlap { in_flight: usize, cpu: bool },
}

/// What a system has to offer for a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feature {
    /// Small calls, one after the other.
    Calls,
    /// Several calls at a time through one client.
    Overlap,
}

/// Which processors the two processes run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pin {
    /// Both on the first: what a call costs in computing, without waking a processor that sleeps.
    Together,
    /// The server on the first, the client on the second.
    Apart,
}

impl Work {
    /// How many clients there are.
    pub(crate) fn clients(self) -> u32 {
        1
    }

    pub(crate) fn needs(self) -> Feature {
        match self {
            Self::Latency => Feature::Calls,
            Self::Overlap { .. } => Feature::Overlap,
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

/// All of them, in the order in which they are measured.
pub(crate) const CASES: &[Case] = &[
    Case {
        id: "W1-one-cpu",
        what: "latency of a 64-byte echo, both processes on one CPU",
        work: Work::Latency,
        pin: Pin::Together,
    },
    Case {
        id: "W1-two-cpus",
        what: "latency of a 64-byte echo, one CPU each",
        work: Work::Latency,
        pin: Pin::Apart,
    },
    Case {
        id: "W2-64",
        what: "64-byte echoes, 64 in flight",
        work: Work::Overlap { in_flight: 64, cpu: true },
        pin: Pin::Apart,
    },
    Case {
        id: "W2-1024",
        what: "64-byte echoes, 1024 in flight",
        work: Work::Overlap { in_flight: 1024, cpu: true },
        pin: Pin::Apart,
    },
];

/// The case with this id.
pub(crate) fn find(id: &str) -> anyhow::Result<&'static Case> {
    CASES.iter().find(|case| case.id == id).ok_or_else(|| anyhow::anyhow!("there is no case {id}"))
}
