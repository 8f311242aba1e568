//! TCP links for the rpc framework.
