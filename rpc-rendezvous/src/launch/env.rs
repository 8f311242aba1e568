//! [`LaunchEnv`]: the variables of rpcrun, torchrun and SLURM.

use super::error::LaunchError;
use super::meeting::{Meeting, StoreHost};
use super::slurm;
use crate::hash::fnv1a;

/// What the environment says about this process's place in its job.
///
/// | field | rpcrun, torchrun | else SLURM |
/// |---|---|---|
/// | `rank` | `RANK` | `SLURM_PROCID` |
/// | `world_size` | `WORLD_SIZE` | `SLURM_STEP_NUM_TASKS`, `SLURM_NTASKS` |
/// | `local_rank` | `LOCAL_RANK` | `SLURM_LOCALID` |
/// | `job` | `RPC_JOB_ID`, `TORCHELASTIC_RUN_ID`; with `TORCHELASTIC_RESTART_COUNT` | `SLURM_JOB_ID`, `SLURM_STEP_ID`, `SLURM_RESTART_COUNT` |
/// | `meeting` | `MASTER_ADDR`, `MASTER_PORT` | first host of `SLURM_STEP_NODELIST`, `SLURM_JOB_NODELIST`, beside a port derived from the job |
/// | `backend` | `RPC_BACKEND` | |
///
/// Rank, world size and local rank come from one launcher: SLURM's are read only if neither `RANK` nor
/// `WORLD_SIZE` is set. `RPC_STORE_HOSTED=1` says that the launcher hosts the store at the master address.
/// `TORCHELASTIC_USE_AGENT_STORE=True` says that torch's launcher listens there, so that the store has to be
/// beside it ([`StoreHost::Rank0Beside`]). A variable that is set to nothing counts as not set.
///
/// Where launchers are nested, the innermost one counts. rpcrun removes torchrun's variables, so if
/// `TORCHELASTIC_USE_AGENT_STORE` is there at all, torchrun runs below rpcrun and not the other way round:
/// `RPC_STORE_HOSTED` then speaks of another store, and `TORCHELASTIC_RUN_ID` comes before `RPC_JOB_ID`.
///
/// ```
/// use rpc_rendezvous::{LaunchEnv, Meeting, StoreHost};
/// let env = LaunchEnv::from_vars(|name| {
///     let value = match name {
///         "RANK" => "1", "WORLD_SIZE" => "4", "MASTER_ADDR" => "node7", "MASTER_PORT" => "29500",
///         _ => return None,
///     };
///     Some(value.to_owned())
/// })?;
/// assert_eq!(env.require_rank()?, 1);
/// let node7 = Meeting::Tcp { host: "node7".into(), port: 29500, host_by: StoreHost::Rank0 };
/// assert_eq!(env.meeting, Some(node7));
/// # Ok::<(), rpc_rendezvous::LaunchError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LaunchEnv {
    /// This process's rank.
    pub rank: Option<u32>,
    /// How many workers the job has.
    pub world_size: Option<u32>,
    /// This process's rank among those of its machine.
    pub local_rank: Option<u32>,
    /// Name of the job: the same for all its workers, another one for each run and restart.
    pub job: Option<String>,
    /// Where the workers meet.
    pub meeting: Option<Meeting>,
    /// The backend that the launcher asks for.
    pub backend: Option<String>,
}

impl LaunchEnv {
    /// Reads the variables of this process.
    ///
    /// # Errors
    /// As [`from_vars`](Self::from_vars).
    pub fn from_env() -> Result<Self, LaunchError> {
        Self::from_vars(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    /// Reads the variables that `lookup` knows.
    ///
    /// # Errors
    /// [`LaunchError`] names the variable that is malformed, or that is missing beside one that needs it. It
    /// is no error that nothing is set: whoever needs a field asks for it with
    /// [`require_rank`](Self::require_rank) and its like.
    pub fn from_vars(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, LaunchError> {
        let vars = Vars {
            lookup: &|name| lookup(name).map(|value| value.trim().to_owned()).filter(|v| !v.is_empty()),
        };
        let slurm = match (vars.text("SLURM_JOB_ID"), vars.text("SLURM_PROCID")) {
            (Some(job), Some(_)) => Some(Slurm { job }),
            _ => None,
        };
        let [rank_var, size_var, local_var] =
            if vars.text("RANK").is_some() || vars.text("WORLD_SIZE").is_some() {
                ["RANK", "WORLD_SIZE", "LOCAL_RANK"]
            } else if slurm.is_some() {
                let steps = vars.text("SLURM_STEP_NUM_TASKS").is_some();
                ["SLURM_PROCID", if steps { "SLURM_STEP_NUM_TASKS" } else { "SLURM_NTASKS" }, "SLURM_LOCALID"]
            } else {
                ["RANK", "WORLD_SIZE", "LOCAL_RANK"]
            };
        let rank = vars.number(rank_var, "a rank: a number from 0 up")?;
        let world_size = vars.number(size_var, "a number of workers: 1 or more")?;
        match (rank, world_size) {
            (_, Some(0)) => return Err(malformed(size_var, "0", "a number of workers: 1 or more")),
            (Some(rank), Some(world_size)) if rank >= world_size => {
                return Err(LaunchError::RankOutOfRange {
                    rank,
                    rank_variable: rank_var.into(),
                    world_size,
                    world_size_variable: size_var.into(),
                });
            }
            _ => {}
        }
        Ok(Self {
            rank,
            world_size,
            local_rank: vars.number(local_var, "a rank on this machine: a number from 0 up")?,
            job: job(&vars, slurm.as_ref())?,
            meeting: meeting(&vars, slurm.as_ref())?,
            backend: vars.text("RPC_BACKEND"),
        })
    }

    /// The rank.
    ///
    /// # Errors
    /// [`LaunchError::Missing`] if the environment has none.
    pub fn require_rank(&self) -> Result<u32, LaunchError> {
        self.rank.ok_or_else(|| missing("RANK", "a rank: a number from 0 up"))
    }

    /// The number of workers.
    ///
    /// # Errors
    /// [`LaunchError::Missing`] if the environment has none.
    pub fn require_world_size(&self) -> Result<u32, LaunchError> {
        self.world_size.ok_or_else(|| missing("WORLD_SIZE", "a number of workers: 1 or more"))
    }

    /// Where the workers meet.
    ///
    /// # Errors
    /// [`LaunchError::Missing`] if the environment says nothing about it.
    pub fn require_meeting(&self) -> Result<Meeting, LaunchError> {
        self.meeting.clone().ok_or_else(|| missing("MASTER_ADDR", "the host where the workers meet"))
    }
}

/// Inside of a SLURM job.
struct Slurm {
    job: String,
}

fn job(vars: &Vars<'_>, slurm: Option<&Slurm>) -> Result<Option<String>, LaunchError> {
    let restart = vars.number("TORCHELASTIC_RESTART_COUNT", "a number of restarts")?;
    let torch = vars.text("TORCHELASTIC_RUN_ID").map(|run| format!("torch-{run}"));
    let ours = vars.text("RPC_JOB_ID");
    if let Some(job) = if torch_is_innermost(vars) { torch.or(ours) } else { ours.or(torch) } {
        return Ok(Some(match restart {
            Some(restart) => format!("{job}-restart{restart}"),
            None => job,
        }));
    }
    let Some(Slurm { job }) = slurm else { return Ok(None) };
    let part =
        |name: &str, label: &str| vars.text(name).map(|value| format!("{label}{value}")).unwrap_or_default();
    Ok(Some(format!("slurm-{job}{}{}", part("SLURM_STEP_ID", "."), part("SLURM_RESTART_COUNT", "-restart"))))
}

/// Whether torch's launcher started this process, below rpcrun if that had a part in it.
fn torch_is_innermost(vars: &Vars<'_>) -> bool {
    vars.text("TORCHELASTIC_USE_AGENT_STORE").is_some()
}

fn meeting(vars: &Vars<'_>, slurm: Option<&Slurm>) -> Result<Option<Meeting>, LaunchError> {
    let hosted = vars.flag("RPC_STORE_HOSTED")? && !torch_is_innermost(vars);
    let agent_store = vars.flag("TORCHELASTIC_USE_AGENT_STORE")?;
    let host_by = match (hosted, agent_store) {
        (true, _) => StoreHost::Launcher,
        (false, true) => StoreHost::Rank0Beside,
        (false, false) => StoreHost::Rank0,
    };
    let port = vars.port("MASTER_PORT")?;
    match (vars.text("MASTER_ADDR"), port) {
        (Some(host), Some(port)) => Ok(Some(Meeting::Tcp { host: bare(&host), port, host_by })),
        (Some(_), None) => Err(missing("MASTER_PORT", EXPECTED_PORT)),
        (None, Some(_)) => Err(missing("MASTER_ADDR", "the host where the workers meet")),
        (None, None) if hosted || agent_store => {
            Err(missing("MASTER_ADDR", "the host where the launcher hosts the store"))
        }
        (None, None) => slurm.map(|slurm| slurm_meeting(vars, slurm)).transpose(),
    }
}

/// The first host of the step, beside a port of the range that systems neither reserve nor hand out for
/// outgoing connections. Two jobs may derive the same port, and anything may hold it: hence "beside".
fn slurm_meeting(vars: &Vars<'_>, Slurm { job }: &Slurm) -> Result<Meeting, LaunchError> {
    const EXPECTED: &str = "a list of hosts, such as node[01-03,7],other";
    let variable =
        ["SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST"].into_iter().find(|name| vars.text(name).is_some());
    let variable = variable.ok_or_else(|| missing("SLURM_JOB_NODELIST", EXPECTED))?;
    let list = vars.text(variable).unwrap_or_default();
    let host = slurm::first_host(&list).ok_or_else(|| malformed(variable, &list, EXPECTED))?;
    let port = 20_000 + (fnv1a(job.as_bytes()) % 10_000) as u16;
    Ok(Meeting::Tcp { host, port, host_by: StoreHost::Rank0Beside })
}

const EXPECTED_PORT: &str = "a port: a number from 1 to 65535";

struct Vars<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
}

impl Vars<'_> {
    fn text(&self, name: &str) -> Option<String> {
        (self.lookup)(name)
    }

    fn number(&self, name: &str, expected: &str) -> Result<Option<u32>, LaunchError> {
        let Some(value) = self.text(name) else { return Ok(None) };
        value.parse().map(Some).map_err(|_| malformed(name, &value, expected))
    }

    fn port(&self, name: &str) -> Result<Option<u16>, LaunchError> {
        let Some(value) = self.text(name) else { return Ok(None) };
        match value.parse() {
            Ok(port) if port > 0 => Ok(Some(port)),
            _ => Err(malformed(name, &value, EXPECTED_PORT)),
        }
    }

    fn flag(&self, name: &str) -> Result<bool, LaunchError> {
        let Some(value) = self.text(name) else { return Ok(false) };
        match value.to_ascii_lowercase().as_str() {
            "1" | "true" => Ok(true),
            "0" | "false" => Ok(false),
            _ => Err(malformed(name, &value, "True or False, or 1 or 0")),
        }
    }
}

/// An IPv6 address may come in brackets.
fn bare(host: &str) -> String {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).to_owned()
}

fn missing(variable: &str, expected: &str) -> LaunchError {
    LaunchError::Missing { variable: variable.into(), expected: expected.into() }
}

fn malformed(variable: &str, value: &str, expected: &str) -> LaunchError {
    LaunchError::Malformed { variable: variable.into(), value: value.into(), expected: expected.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `"NAME=value NAME=value"`.
    fn read(vars: &str) -> Result<LaunchEnv, LaunchError> {
        LaunchEnv::from_vars(|name| {
            let found =
                vars.split(' ').filter_map(|var| var.split_once('=')).find(|(known, _)| *known == name);
            found.map(|(_, value)| value.to_owned())
        })
    }

    fn tcp(host: &str, port: u16, host_by: StoreHost) -> Option<Meeting> {
        Some(Meeting::Tcp { host: host.into(), port, host_by })
    }

    #[test]
    fn an_empty_environment_is_no_error_until_something_is_needed() {
        let env = read("").unwrap();
        assert_eq!(env, LaunchEnv::default());
        let error = env.require_rank().unwrap_err().to_string();
        assert!(error.starts_with("the environment variable RANK is not set; expected a rank"), "{error}");
        assert!(
            matches!(env.require_world_size(), Err(LaunchError::Missing { variable, .. }) if variable == "WORLD_SIZE")
        );
        assert!(
            matches!(env.require_meeting(), Err(LaunchError::Missing { variable, .. }) if variable == "MASTER_ADDR")
        );
        assert_eq!(read("RANK= WORLD_SIZE=").unwrap(), env, "set to nothing is not set");
    }

    #[test]
    fn rpcruns_variables_make_every_rank_a_client() {
        let env = read(
            "RANK=2 WORLD_SIZE=4 LOCAL_RANK=0 MASTER_ADDR=127.0.0.1 MASTER_PORT=4711 RPC_JOB_ID=j7 RPC_BACKEND=quic RPC_STORE_HOSTED=1",
        );
        let expected = LaunchEnv {
            rank: Some(2),
            world_size: Some(4),
            local_rank: Some(0),
            job: Some("j7".into()),
            meeting: tcp("127.0.0.1", 4711, StoreHost::Launcher),
            backend: Some("quic".into()),
        };
        assert_eq!(env, Ok(expected));
    }

    #[test]
    fn torchruns_own_store_means_meeting_beside_it_and_a_job_per_restart() {
        let torchrun = "RANK=0 WORLD_SIZE=2 MASTER_ADDR=n1 MASTER_PORT=29500 TORCHELASTIC_RUN_ID=none TORCHELASTIC_RESTART_COUNT=3";
        let env = read(&format!("{torchrun} TORCHELASTIC_USE_AGENT_STORE=True")).unwrap();
        assert_eq!(env.job.as_deref(), Some("torch-none-restart3"));
        assert_eq!(env.meeting, tcp("n1", 29500, StoreHost::Rank0Beside));
        let env = read(&format!("{torchrun} TORCHELASTIC_USE_AGENT_STORE=False")).unwrap();
        assert_eq!(env.meeting, tcp("n1", 29500, StoreHost::Rank0));
    }

    #[test]
    fn torchrun_below_a_worker_of_rpcrun_counts_and_rpcrun_does_not() {
        let nested = "RANK=0 WORLD_SIZE=2 MASTER_ADDR=n1 MASTER_PORT=29500 TORCHELASTIC_RUN_ID=inner RPC_STORE_HOSTED=1 RPC_JOB_ID=outer";
        for (agent_store, host_by) in [("True", StoreHost::Rank0Beside), ("False", StoreHost::Rank0)] {
            let env = read(&format!("{nested} TORCHELASTIC_USE_AGENT_STORE={agent_store}")).unwrap();
            assert_eq!(env.meeting, tcp("n1", 29500, host_by), "{agent_store}");
            assert_eq!(env.job.as_deref(), Some("torch-inner"), "{agent_store}");
        }
        let ours = read(nested).unwrap();
        assert_eq!(
            (ours.meeting, ours.job.as_deref()),
            (tcp("n1", 29500, StoreHost::Launcher), Some("outer"))
        );
    }

    #[test]
    fn slurm_gives_what_the_others_do_not() {
        let slurm = "SLURM_JOB_ID=812 SLURM_STEP_ID=0 SLURM_PROCID=3 SLURM_NTASKS=8 SLURM_LOCALID=1 SLURM_JOB_NODELIST=node[07-09],other";
        let env = read(slurm).unwrap();
        assert_eq!((env.rank, env.world_size, env.local_rank), (Some(3), Some(8), Some(1)));
        assert_eq!(env.job.as_deref(), Some("slurm-812.0"));
        let Some(Meeting::Tcp { host, port, host_by: StoreHost::Rank0Beside }) = &env.meeting else {
            panic!("{:?}", env.meeting);
        };
        assert_eq!(host, "node07");
        assert!((20_000..30_000).contains(port), "{port}");
        assert_eq!(read(slurm).unwrap().meeting, env.meeting, "the same for every rank");

        let both = read(&format!("{slurm} RANK=0 WORLD_SIZE=2 MASTER_ADDR=h MASTER_PORT=1")).unwrap();
        assert_eq!((both.rank, both.world_size, both.local_rank), (Some(0), Some(2), None));
        assert_eq!(both.meeting, tcp("h", 1, StoreHost::Rank0));
        let addressed = read(&format!("{slurm} MASTER_ADDR=h MASTER_PORT=1")).unwrap();
        assert_eq!((addressed.rank, addressed.meeting), (Some(3), tcp("h", 1, StoreHost::Rank0)));
    }

    #[test]
    fn each_problem_names_its_variable_value_and_expectation() {
        let text = |vars: &str| read(vars).unwrap_err().to_string();
        let malformed = |variable: &str, value: &str| {
            let error = text(&format!("MASTER_ADDR=h MASTER_PORT=1 {variable}={value}"));
            let start = format!("the environment variable {variable} is {value:?}; expected ");
            assert!(error.starts_with(&start), "{error}");
        };
        for value in ["x", "-1", "1.5", "4294967296", "0x1"] {
            for variable in ["RANK", "WORLD_SIZE", "LOCAL_RANK", "TORCHELASTIC_RESTART_COUNT"] {
                malformed(variable, value);
            }
        }
        malformed("WORLD_SIZE", "0");
        malformed("RPC_STORE_HOSTED", "maybe");
        malformed("TORCHELASTIC_USE_AGENT_STORE", "yes");
        for port in ["0", "65536", "http"] {
            let error = text(&format!("MASTER_ADDR=h MASTER_PORT={port}"));
            assert_eq!(
                error,
                format!("the environment variable MASTER_PORT is {port:?}; expected {EXPECTED_PORT}")
            );
        }
        let missing = |vars: &str, variable: &str| {
            assert!(
                matches!(read(vars), Err(LaunchError::Missing { variable: v, .. }) if v == variable),
                "{vars}"
            );
        };
        missing("MASTER_ADDR=h", "MASTER_PORT");
        missing("MASTER_PORT=1", "MASTER_ADDR");
        missing("RPC_STORE_HOSTED=1", "MASTER_ADDR");
        missing("TORCHELASTIC_USE_AGENT_STORE=True", "MASTER_ADDR");
        missing("SLURM_JOB_ID=1 SLURM_PROCID=0 SLURM_NTASKS=1", "SLURM_JOB_NODELIST");
        let error = text("SLURM_JOB_ID=1 SLURM_PROCID=0 SLURM_NTASKS=1 SLURM_JOB_NODELIST=node[");
        assert!(
            error.starts_with("the environment variable SLURM_JOB_NODELIST is \"node[\"; expected"),
            "{error}"
        );
    }

    #[test]
    fn a_rank_beyond_the_world_is_out_of_range_by_the_names_that_were_set() {
        let error = read("RANK=4 WORLD_SIZE=4").unwrap_err();
        assert_eq!(error.to_string(), "RANK is 4, but WORLD_SIZE is 4; expected a rank from 0 to 3");
        let slurm = "SLURM_JOB_ID=1 SLURM_PROCID=2 SLURM_NTASKS=2 SLURM_JOB_NODELIST=n";
        assert!(read(slurm).unwrap_err().to_string().starts_with("SLURM_PROCID is 2, but SLURM_NTASKS is 2"));
    }
}
