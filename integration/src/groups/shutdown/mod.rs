//! How workers leave: together when all is done, alone at once, and in spite of the dead and the absent.

use integration::scenario::Scenario;

mod absent;
mod dead;
mod local;
mod together;

pub(crate) fn scenarios() -> Vec<Scenario> {
    [together::scenarios(), local::scenarios(), dead::scenarios(), absent::scenarios()].concat()
}
