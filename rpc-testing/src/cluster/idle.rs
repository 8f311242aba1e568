//! Whether anything is left behind.
