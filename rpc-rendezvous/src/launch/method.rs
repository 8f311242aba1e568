//! [`InitMethod`]: where to meet, as a URL.

use std::path::PathBuf;

use super::env::LaunchEnv;
use super::error::LaunchError;
use super::meeting::{Meeting, StoreHost};

/// Where to meet, as a URL: `env://`, `tcp://HOST:PORT` or `file:///PATH`. Each may end in
/// `?rank=R&world_size=N`.
///
/// ```
/// use rpc_rendezvous::{InitMethod, Meeting, StoreHost};
/// let method = InitMethod::parse("tcp://10.0.0.1:4711?rank=1&world_size=2")?;
/// let at = Meeting::Tcp { host: "10.0.0.1".into(), port: 4711, host_by: StoreHost::Rank0 };
/// assert_eq!(method, InitMethod::At { meeting: at, rank: Some(1), world_size: Some(2) });
/// # Ok::<(), rpc_rendezvous::InitMethodError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InitMethod {
    /// `env://`: what the environment says, except for what is given here.
    Env {
        /// This process's rank.
        rank: Option<u32>,
        /// How many workers the job has.
        world_size: Option<u32>,
    },
    /// `tcp://`, where rank 0 hosts the store, or `file://`.
    At {
        /// Where.
        meeting: Meeting,
        /// This process's rank.
        rank: Option<u32>,
        /// How many workers the job has.
        world_size: Option<u32>,
    },
}

impl InitMethod {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`InitMethodError`] says which part of it is wrong.
    pub fn parse(url: &str) -> Result<Self, InitMethodError> {
        let unknown = || InitMethodError::UnknownScheme { url: url.into() };
        let (scheme, rest) = url.split_once("://").ok_or_else(unknown)?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (rank, world_size) = parse_query(url, query)?;
        let meeting = match scheme {
            "env" if place.is_empty() => return Ok(Self::Env { rank, world_size }),
            "env" => return Err(InitMethodError::EnvPlace { url: url.into() }),
            "tcp" => parse_tcp(url, place.trim_end_matches('/'))?,
            "file" if place.starts_with('/') && place.len() > 1 => Meeting::File(PathBuf::from(place)),
            "file" => return Err(InitMethodError::PathMissing { url: url.into() }),
            _ => return Err(unknown()),
        };
        Ok(Self::At { meeting, rank, world_size })
    }

    /// Completes `env` with what this says, which goes before what `env` says.
    ///
    /// # Errors
    /// [`LaunchError::RankOutOfRange`] if rank and world size do not fit together.
    pub fn over(&self, mut env: LaunchEnv) -> Result<LaunchEnv, LaunchError> {
        let (rank, world_size) = match self {
            Self::Env { rank, world_size } => (rank, world_size),
            Self::At { meeting, rank, world_size } => {
                env.meeting = Some(meeting.clone());
                (rank, world_size)
            }
        };
        env.rank = rank.or(env.rank);
        env.world_size = world_size.or(env.world_size);
        match (env.rank, env.world_size) {
            (Some(rank), Some(world_size)) if rank >= world_size => Err(LaunchError::RankOutOfRange {
                rank,
                rank_variable: "the rank".into(),
                world_size,
                world_size_variable: "the world size".into(),
            }),
            _ => Ok(env),
        }
    }
}

fn parse_query(url: &str, query: &str) -> Result<(Option<u32>, Option<u32>), InitMethodError> {
    let (mut rank, mut world_size) = (None, None);
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let bad = || InitMethodError::Parameter { url: url.into(), parameter: parameter.into() };
        let (name, value) = parameter.split_once('=').ok_or_else(bad)?;
        let place = match name {
            "rank" => &mut rank,
            "world_size" => &mut world_size,
            _ => return Err(bad()),
        };
        *place = Some(value.parse().map_err(|_| bad())?);
        if world_size == Some(0) {
            return Err(bad());
        }
    }
    Ok((rank, world_size))
}

fn parse_tcp(url: &str, place: &str) -> Result<Meeting, InitMethodError> {
    let port_missing = || InitMethodError::PortMissing { url: url.into() };
    // An IPv6 address comes in brackets, and its colons do not begin a port.
    let (host, port) = match place.strip_prefix('[') {
        Some(bracketed) => {
            let (host, after) = bracketed.split_once(']').ok_or_else(port_missing)?;
            (host, after.strip_prefix(':').ok_or_else(port_missing)?)
        }
        None => place.rsplit_once(':').ok_or_else(port_missing)?,
    };
    if port.is_empty() {
        return Err(port_missing());
    }
    if host.is_empty() {
        return Err(InitMethodError::HostMissing { url: url.into() });
    }
    match port.parse() {
        Ok(port) if port > 0 => Ok(Meeting::Tcp { host: host.into(), port, host_by: StoreHost::Rank0 }),
        _ => Err(InitMethodError::PortRange { url: url.into(), port: port.into() }),
    }
}

/// What is wrong with the URL of an [`InitMethod`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InitMethodError {
    /// No known scheme.
    #[error("{url:?} has no known scheme; there are env://, tcp://HOST:PORT and file:///PATH")]
    UnknownScheme {
        /// What was given.
        url: String,
    },
    /// Something follows `env://`.
    #[error(
        "{url:?} names a place, but env:// takes it from the environment; use tcp://HOST:PORT for a place"
    )]
    EnvPlace {
        /// What was given.
        url: String,
    },
    /// No host.
    #[error("the host is missing in {url:?}; expected tcp://HOST:PORT")]
    HostMissing {
        /// What was given.
        url: String,
    },
    /// No port.
    #[error("the port number is missing in {url:?}; expected tcp://HOST:PORT")]
    PortMissing {
        /// What was given.
        url: String,
    },
    /// Not a port.
    #[error("the port {port:?} in {url:?} is not a number from 1 to 65535")]
    PortRange {
        /// What was given.
        url: String,
        /// The port in it.
        port: String,
    },
    /// No absolute path.
    #[error("the path is missing in {url:?}; expected file:///PATH, with three slashes")]
    PathMissing {
        /// What was given.
        url: String,
    },
    /// A parameter that is unknown, or not a number.
    #[error(
        "{parameter:?} in {url:?} is not understood; the parameters are rank=NUMBER and world_size=NUMBER"
    )]
    Parameter {
        /// What was given.
        url: String,
        /// The parameter in it.
        parameter: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_schemes_are_read() {
        let tcp = |host: &str, port| Meeting::Tcp { host: host.into(), port, host_by: StoreHost::Rank0 };
        let at = |meeting| Ok(InitMethod::At { meeting, rank: None, world_size: None });
        assert_eq!(InitMethod::parse("env://"), Ok(InitMethod::Env { rank: None, world_size: None }));
        let both = InitMethod::Env { rank: Some(3), world_size: Some(4) };
        assert_eq!(InitMethod::parse("env://?rank=3&world_size=4"), Ok(both));
        assert_eq!(InitMethod::parse("tcp://localhost:29500"), at(tcp("localhost", 29500)));
        assert_eq!(InitMethod::parse("tcp://[::1]:80/"), at(tcp("::1", 80)));
        assert_eq!(InitMethod::parse("file:///tmp/meet"), at(Meeting::File("/tmp/meet".into())));
    }

    #[test]
    fn each_wrong_part_has_its_error() {
        let error = |url: &str| InitMethod::parse(url).unwrap_err().to_string();
        for url in ["", "localhost:1", "http://x:1"] {
            assert!(error(url).ends_with("there are env://, tcp://HOST:PORT and file:///PATH"), "{url}");
        }
        for url in ["tcp://host", "tcp://host:", "tcp://[::1]", "tcp://[::1"] {
            assert!(error(url).starts_with("the port number is missing"), "{url}");
        }
        for port in ["0", "65536", "-1", "http"] {
            assert!(error(&format!("tcp://h:{port}")).contains("is not a number from 1 to 65535"), "{port}");
        }
        assert!(error("tcp://:80").starts_with("the host is missing"));
        assert!(error("env://host:80").contains("names a place"));
        for url in ["file://", "file:///", "file://relative"] {
            assert!(error(url).starts_with("the path is missing"), "{url}");
        }
        for query in ["rank", "rank=x", "world_size=-1", "world_size=0", "size=3"] {
            let url = format!("tcp://h:1?{query}");
            assert!(error(&url).starts_with(&format!("{query:?} in ")), "{url}");
        }
    }

    #[test]
    fn the_url_goes_before_the_environment() {
        let env =
            || LaunchEnv { rank: Some(0), world_size: Some(2), job: Some("j".into()), ..Default::default() };
        let over = InitMethod::parse("tcp://h:1?rank=1").unwrap().over(env()).unwrap();
        assert_eq!((over.rank, over.world_size, over.job.as_deref()), (Some(1), Some(2), Some("j")));
        assert_eq!(over.meeting.unwrap().to_string(), "tcp://h:1");
        let error = InitMethod::parse("env://?rank=2").unwrap().over(env()).unwrap_err();
        assert_eq!(error.to_string(), "the rank is 2, but the world size is 2; expected a rank from 0 to 1");
    }
}
