//! [`BackendRegistry`]: named ways to build an agent.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::agent::Agent;
use crate::engine::{EngineConfig, TransportAgent};
use crate::function::BoxFuture;
use crate::security::{LinkSecurity, Protection};
use crate::transport::Transport;
use crate::worker::{Group, Incarnation, WorkerId};

/// A named way to build an agent.
///
/// In two steps, because a worker must listen before it can tell the others where, and must know the
/// others before it can serve them.
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// The name under which it is picked.
    fn name(&self) -> &str;

    /// Checks that links can be protected as `security` asks. The facade asks before it binds.
    ///
    /// # Errors
    /// [`BackendError::Unprotected`] if they cannot, which is what a backend says that does not implement
    /// this, of any protection.
    fn protects(&self, security: &LinkSecurity) -> Result<(), BackendError> {
        match security.protection {
            Protection::None => Ok(()),
            asked => Err(BackendError::Unprotected { backend: self.name().to_owned(), asked, cause: None }),
        }
    }

    /// Starts to listen.
    ///
    /// # Errors
    /// [`BackendError`] if it cannot.
    fn bind(&self, options: &BindOptions) -> BoxFuture<'_, Result<Box<dyn BoundBackend>, BackendError>>;

    /// The same backend with `wrap` around each transport that it binds, for tests that disturb what is on its way.
    /// `None` if there is no transport to put something around, which is what a backend says that does not implement
    /// this.
    fn wrapped(&self, wrap: WrapTransport) -> Option<Arc<dyn Backend>> {
        let _ = wrap;
        None
    }
}

/// Puts something around a transport (see [`Backend::wrapped`]).
pub type WrapTransport = Arc<dyn Fn(Arc<dyn Transport>) -> Arc<dyn Transport> + Send + Sync>;

/// Where and as what to listen.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BindOptions {
    /// Host or address to listen on, and a port (0: any): `127.0.0.1:0`.
    pub bind: String,
    /// Host under which peers reach this worker, if it is not the one that it listens on.
    pub advertise_host: Option<String>,
    /// How links are to be protected.
    pub security: LinkSecurity,
    /// Whether workers that find themselves on one machine may talk over something that does not leave it, where the
    /// backend and the system have that.
    pub local_links: bool,
}

impl BindOptions {
    /// Listens on `bind`. Local links are on.
    pub fn new(bind: impl Into<String>) -> Self {
        let security = LinkSecurity::default();
        Self { bind: bind.into(), advertise_host: None, security, local_links: true }
    }
}

/// A backend that listens.
pub trait BoundBackend: Send + 'static {
    /// Where peers can reach it.
    fn address(&self) -> String;

    /// Becomes the agent of worker `start.id`.
    ///
    /// # Errors
    /// [`BackendError`] if it cannot.
    fn start(self: Box<Self>, start: AgentStart) -> BoxFuture<'static, Result<Arc<dyn Agent>, BackendError>>;
}

/// What an agent needs to know to begin.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AgentStart {
    /// Which member of the group this worker is.
    pub id: WorkerId,
    /// Everybody.
    pub group: Group,
    /// Bounds and times of the engine.
    pub config: EngineConfig,
    /// [`FunctionTable::digest`](crate::FunctionTable::digest) of this worker, for telling others that
    /// their program differs; 0 says nothing.
    pub functions_digest: u64,
}

impl AgentStart {
    /// Starts as worker `id` of `group`.
    pub fn new(id: WorkerId, group: Group, config: EngineConfig) -> Self {
        Self { id, group, config, functions_digest: 0 }
    }

    /// The incarnation under which the group knows this worker.
    pub fn incarnation(&self) -> Option<Incarnation> {
        self.group.get(self.id).map(|member| member.incarnation)
    }
}

/// Why a backend could not listen or start.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// It cannot listen there.
    #[error("backend {backend} cannot listen on {bind}: {cause}; bind another address or port 0")]
    Bind {
        /// The backend.
        backend: String,
        /// What it was told to listen on.
        bind: String,
        /// The system's words.
        cause: String,
    },
    /// It needs something that is not there.
    #[error("backend {backend} cannot start: {cause}")]
    Start {
        /// The backend.
        backend: String,
        /// What is missing.
        cause: String,
    },
    /// It cannot protect its links as it has to.
    #[error(
        "backend {backend} cannot protect its links by {}{}; take a backend that can, or say that the network is \
         trusted (Security::insecure(), RPC_INSECURE=1)",
        match asked { Protection::Token => "the job's token", _ => "encryption" },
        cause.as_ref().map(|cause| format!(" ({cause})")).unwrap_or_default()
    )]
    Unprotected {
        /// The backend.
        backend: String,
        /// What is asked for.
        asked: Protection,
        /// What it lacks, if it says so.
        cause: Option<String>,
    },
}

/// Makes a [`Backend`] of a way to bind a transport: the engine does the rest.
///
/// ```
/// # use rpc_core::{BindOptions, Transport};
/// # async fn bind_mine(_: String) -> std::io::Result<NoTransport> { Err(std::io::Error::other("")) }
/// # #[derive(Debug)] struct NoTransport;
/// # impl Transport for NoTransport {
/// #     fn local_address(&self) -> String { unimplemented!() }
/// #     fn accept(&self) -> rpc_core::BoxFuture<'_, std::io::Result<rpc_core::Link>> { unimplemented!() }
/// #     fn connect<'a>(&'a self, _: &'a str) -> rpc_core::BoxFuture<'a, std::io::Result<rpc_core::Link>> {
/// #         unimplemented!() }
/// # }
/// use rpc_core::{BackendRegistry, TransportBackend};
/// let mut registry = BackendRegistry::new();
/// registry.register(TransportBackend::new("mine", |options: BindOptions| bind_mine(options.bind)))?;
/// assert!(registry.get("mine").is_ok());
/// # Ok::<(), rpc_core::RegistryError>(())
/// ```
pub struct TransportBackend {
    name: String,
    bind: BindTransport,
    protects: Option<Protects>,
}

/// Says what is missing to protect links as asked.
type Protects = Arc<dyn Fn(&LinkSecurity) -> Result<(), String> + Send + Sync>;

type BindTransport =
    Arc<dyn Fn(BindOptions) -> BoxFuture<'static, std::io::Result<Arc<dyn Transport>>> + Send + Sync>;

impl TransportBackend {
    /// A backend called `name` whose transports `bind` makes.
    pub fn new<F, Fut, T>(name: impl Into<String>, bind: F) -> Self
    where
        F: Fn(BindOptions) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = std::io::Result<T>> + Send + 'static,
        T: Transport,
    {
        let bind = move |options| -> BoxFuture<'static, std::io::Result<Arc<dyn Transport>>> {
            let binding = bind(options);
            Box::pin(async move { Ok(Arc::new(binding.await?) as Arc<dyn Transport>) })
        };
        Self { name: name.into(), bind: Arc::new(bind), protects: None }
    }

    /// This backend's transports protect their links as `check` says: it returns what is missing to protect
    /// them as asked. Without it nothing but [`Protection::None`] is offered.
    #[must_use]
    pub fn protecting(
        mut self,
        check: impl Fn(&LinkSecurity) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.protects = Some(Arc::new(check));
        self
    }
}

impl fmt::Debug for TransportBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TransportBackend({})", self.name)
    }
}

impl Backend for TransportBackend {
    fn name(&self) -> &str {
        &self.name
    }

    fn protects(&self, security: &LinkSecurity) -> Result<(), BackendError> {
        let checked = match (&self.protects, security.protection) {
            (Some(check), _) => check(security).map_err(Some),
            (None, Protection::None) => Ok(()),
            (None, _) => Err(None),
        };
        let (backend, asked) = (self.name.clone(), security.protection);
        checked.map_err(|cause| BackendError::Unprotected { backend, asked, cause })
    }

    fn bind(&self, options: &BindOptions) -> BoxFuture<'_, Result<Box<dyn BoundBackend>, BackendError>> {
        if let Err(error) = self.protects(&options.security) {
            return Box::pin(std::future::ready(Err(error)));
        }
        let binding = (self.bind)(options.clone());
        let bind = options.bind.clone();
        Box::pin(async move {
            let transport = binding.await.map_err(|error| BackendError::Bind {
                backend: self.name.clone(),
                bind,
                cause: error.to_string(),
            })?;
            Ok(Box::new(BoundTransport { transport, backend: self.name.clone() }) as Box<dyn BoundBackend>)
        })
    }

    fn wrapped(&self, wrap: WrapTransport) -> Option<Arc<dyn Backend>> {
        let bind = Arc::clone(&self.bind);
        let wrapped: BindTransport = Arc::new(move |options| {
            let (binding, wrap) = (bind(options), Arc::clone(&wrap));
            Box::pin(async move { Ok(wrap(binding.await?)) })
        });
        Some(Arc::new(Self { name: self.name.clone(), bind: wrapped, protects: self.protects.clone() }))
    }
}

struct BoundTransport {
    transport: Arc<dyn Transport>,
    backend: String,
}

impl BoundBackend for BoundTransport {
    fn address(&self) -> String {
        self.transport.local_address()
    }

    fn start(self: Box<Self>, start: AgentStart) -> BoxFuture<'static, Result<Arc<dyn Agent>, BackendError>> {
        Box::pin(async move {
            let Self { transport, backend } = *self;
            let agent = TransportAgent::start(transport, start)
                .map_err(|cause| BackendError::Start { backend, cause: cause.to_string() })?;
            Ok(Arc::new(agent) as Arc<dyn Agent>)
        })
    }
}

/// Backends by name.
#[derive(Clone, Debug, Default)]
pub struct BackendRegistry {
    backends: BTreeMap<String, Arc<dyn Backend>>,
    /// Names that a feature would add, with the feature.
    absent: BTreeMap<String, String>,
}

impl BackendRegistry {
    /// A registry without backends.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a backend.
    ///
    /// # Errors
    /// [`RegistryError::Duplicate`] if the name is taken; the registry is unchanged.
    pub fn register(&mut self, backend: impl Backend) -> Result<(), RegistryError> {
        let name = backend.name().to_owned();
        if self.backends.contains_key(&name) {
            return Err(RegistryError::Duplicate { name });
        }
        self.backends.insert(name, Arc::new(backend));
        Ok(())
    }

    /// The same names, each with `wrap` around the transports of its backend.
    ///
    /// # Errors
    /// [`RegistryError::NoTransport`] names the first backend that has none.
    pub fn wrapped(&self, wrap: &WrapTransport) -> Result<Self, RegistryError> {
        let mut wrapped = Self { backends: BTreeMap::new(), absent: self.absent.clone() };
        for (name, backend) in &self.backends {
            let backend = backend
                .wrapped(Arc::clone(wrap))
                .ok_or_else(|| RegistryError::NoTransport { name: name.clone() })?;
            wrapped.backends.insert(name.clone(), backend);
        }
        Ok(wrapped)
    }

    /// Notes that `feature` of the facade would add backend `name`, for the error message.
    pub fn note_absent(&mut self, name: impl Into<String>, feature: impl Into<String>) {
        self.absent.insert(name.into(), feature.into());
    }

    /// The backend called `name`.
    ///
    /// # Errors
    /// [`RegistryError::Unknown`] lists what there is, and what a feature would add.
    pub fn get(&self, name: &str) -> Result<Arc<dyn Backend>, RegistryError> {
        self.backends.get(name).cloned().ok_or_else(|| RegistryError::Unknown {
            name: name.to_owned(),
            known: self.names().map(str::to_owned).collect(),
            feature: self.absent.get(name).cloned(),
            absent: self.absent.clone().into_iter().collect(),
        })
    }

    /// The names that can be picked, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.backends.keys().map(String::as_str)
    }
}

/// A backend name that is taken or that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The name is taken.
    #[error("a backend named {name} is registered already")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// There is no such backend in this build.
    #[error("no backend is named {name}; {}", remedy(.known, .feature.as_deref(), .absent))]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// Names that are compiled in or registered.
        known: Vec<String>,
        /// The cargo feature that adds this very backend, if there is one.
        feature: Option<String>,
        /// Backends that are not compiled in, each with the feature that adds it.
        absent: Vec<(String, String)>,
    },
    /// Nothing can be put around the transports of this backend.
    #[error(
        "backend {name} has no transport that something could be put around; implement Backend::wrapped, or leave it \
         out of the registry"
    )]
    NoTransport {
        /// The name.
        name: String,
    },
}

fn remedy(known: &[String], feature: Option<&str>, absent: &[(String, String)]) -> String {
    let known = match known {
        [] => "this build has none".to_owned(),
        names => format!("this build has {}", names.join(", ")),
    };
    if let Some(feature) = feature {
        return format!("{known}; build with --features {feature} to add it");
    }
    let more: Vec<String> =
        absent.iter().map(|(name, feature)| format!("--features {feature} adds {name}")).collect();
    if more.is_empty() { known } else { format!("{known}; {}", more.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Named(&'static str);

    impl Backend for Named {
        fn name(&self) -> &str {
            self.0
        }

        fn bind(&self, _: &BindOptions) -> BoxFuture<'_, Result<Box<dyn BoundBackend>, BackendError>> {
            unreachable!("the tests only look names up")
        }
    }

    #[test]
    fn a_taken_name_is_refused_and_the_first_stays() {
        let mut registry = BackendRegistry::new();
        registry.register(Named("tcp")).unwrap();
        let error = registry.register(Named("tcp")).unwrap_err();
        assert_eq!(error.to_string(), "a backend named tcp is registered already");
        assert_eq!(registry.names().collect::<Vec<_>>(), ["tcp"]);
    }

    #[test]
    fn only_backends_with_a_transport_can_be_wrapped() {
        let wrap: WrapTransport = Arc::new(|transport| transport);
        let mut registry = BackendRegistry::new();
        registry.register(TransportBackend::new("mine", async |_| Err::<NoTransport, _>(refused()))).unwrap();
        registry.note_absent("quic", "quic");
        let wrapped = registry.wrapped(&wrap).unwrap();
        assert_eq!(wrapped.names().collect::<Vec<_>>(), ["mine"]);
        assert!(wrapped.get("quic").unwrap_err().to_string().contains("--features quic"));
        registry.register(Named("whole")).unwrap();
        assert_eq!(registry.wrapped(&wrap).unwrap_err(), RegistryError::NoTransport { name: "whole".into() });
    }

    fn refused() -> std::io::Error {
        std::io::ErrorKind::ConnectionRefused.into()
    }

    #[derive(Debug)]
    enum NoTransport {}

    impl Transport for NoTransport {
        fn local_address(&self) -> String {
            match *self {}
        }

        fn accept(&self) -> BoxFuture<'_, std::io::Result<crate::Link>> {
            match *self {}
        }

        fn connect<'a>(&'a self, _: &'a str) -> BoxFuture<'a, std::io::Result<crate::Link>> {
            match *self {}
        }
    }

    #[test]
    fn an_unknown_name_lists_what_there_is_and_the_feature_that_adds_it() {
        let mut registry = BackendRegistry::new();
        registry.note_absent("quic", "quic");
        let text = |registry: &BackendRegistry, name| registry.get(name).unwrap_err().to_string();
        assert_eq!(
            text(&registry, "quic"),
            "no backend is named quic; this build has none; build with --features quic to add it"
        );
        registry.register(Named("tcp")).unwrap();
        assert_eq!(
            text(&registry, "tpc"),
            "no backend is named tpc; this build has tcp; --features quic adds quic"
        );
    }
}
