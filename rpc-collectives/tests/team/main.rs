//! Teams over engines in memory: what members get, and what they are told when somebody does not come.

mod common;

mod absent;
mod broadcast;
mod links;
mod places;
mod values;
mod waiting;
