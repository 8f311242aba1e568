//! Stores and launch environments through which workers find each other.
