//! `cmptd`, the daemon.
fn main() {}
