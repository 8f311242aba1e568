//! How workers leave: together when all is done, alone at once, and in spite of the dead and the absent.

mod absent;
mod dead;
mod local;
mod together;

use crate::scenario::Scenario;

pub(crate) fn scenarios() -> Vec<Scenario> {
    [together::scenarios(), local::scenarios(), dead::scenarios(), absent::scenarios()].concat()
}
