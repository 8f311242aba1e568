//! The backends of this build, and which of them a worker takes.

use rpc_core::{BackendRegistry, RegistryError};
use std::sync::Arc;

/// Variable that names the backend where the program does not.
pub(crate) const BACKEND_VARIABLE: &str = "RPC_BACKEND";

/// The backend that is taken when nothing names one and there are several, or none.
const DEFAULT: &str = "tcp";

/// The backends that this build's features have compiled in; add your own to it and give it to
/// [`WorkerBuilder::backends`](crate::WorkerBuilder::backends).
///
/// ```
/// # #[cfg(feature = "tcp")]
/// assert!(rpc::default_backends().get("tcp").is_ok()); // feature `tcp`, on by default
/// # #[cfg(feature = "quic")]
/// assert!(rpc::default_backends().get("quic").is_ok()); // feature `quic`
/// ```
pub fn default_backends() -> BackendRegistry {
    let mut registry = BackendRegistry::new();
    #[cfg(feature = "quic")]
    registry.register(rpc_transport_quic::backend()).expect("a new registry has no quic");
    #[cfg(not(feature = "quic"))]
    registry.note_absent("quic", "quic");
    #[cfg(feature = "tcp")]
    registry.register(rpc_transport_tcp::backend()).expect("a new registry has no tcp");
    #[cfg(not(feature = "tcp"))]
    registry.note_absent("tcp", "tcp");
    registry
}

/// The backend called `name`; without a name the only one there is, or else `tcp`.
pub(crate) fn choose(
    registry: &BackendRegistry,
    name: Option<&str>,
) -> Result<Arc<dyn rpc_core::Backend>, RegistryError> {
    let mut names = registry.names();
    let only = names.next().filter(|_| names.next().is_none());
    registry.get(name.or(only).unwrap_or(DEFAULT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpc_core::{BackendError, BindOptions, BoundBackend, BoxFuture};

    #[derive(Debug)]
    struct Named(&'static str);

    impl rpc_core::Backend for Named {
        fn name(&self) -> &str {
            self.0
        }

        fn bind(&self, _: &BindOptions) -> BoxFuture<'_, Result<Box<dyn BoundBackend>, BackendError>> {
            unreachable!("the tests only look names up")
        }
    }

    fn chosen(names: &[&'static str], name: Option<&str>) -> Result<String, RegistryError> {
        let mut registry = BackendRegistry::new();
        for name in names {
            registry.register(Named(name)).unwrap();
        }
        choose(&registry, name).map(|backend| backend.name().to_owned())
    }

    #[test]
    fn the_given_name_wins_then_the_only_backend_then_tcp() {
        assert_eq!(chosen(&["mine", "tcp"], Some("mine")).unwrap(), "mine");
        assert_eq!(chosen(&["mine"], None).unwrap(), "mine");
        assert_eq!(chosen(&["mine", "tcp"], None).unwrap(), "tcp");
        assert!(chosen(&["mine", "yours"], None).unwrap_err().to_string().contains("mine, yours"));
        assert!(chosen(&["mine"], Some("tcp")).is_err());
    }
}
