//! stub
mod config;
pub use self::config::EngineConfig;
use crate::agent::{Agent, Handler};
use crate::backend::AgentStart;
use crate::transport::Transport;
use std::sync::Arc;
#[derive(Debug)]
pub struct TransportAgent {}
impl TransportAgent {
    pub fn start(_t: Arc<dyn Transport>, _s: AgentStart) -> Result<Self, std::io::Error> {
        todo!()
    }
}
impl Agent for TransportAgent {
    fn id(&self) -> crate::WorkerId {
        todo!()
    }
    fn group(&self) -> &crate::Group {
        todo!()
    }
    fn send(&self, _to: crate::WorkerId, _r: crate::Request) -> crate::Reply {
        todo!()
    }
    fn serve(&self, _k: crate::Kind, _h: Arc<dyn Handler>) {
        todo!()
    }
    fn shutdown(
        &self,
        _how: crate::Shutdown,
    ) -> crate::BoxFuture<'static, Result<crate::ShutdownReport, crate::ShutdownError>> {
        todo!()
    }
}
