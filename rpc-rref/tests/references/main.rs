//! References between workers over a network in memory, on a paused clock.

mod common;
mod crashes;
mod lifetime;
mod methods;
mod sharing;
mod values;
