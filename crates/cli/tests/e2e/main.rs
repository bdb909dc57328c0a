//! Real processes, real files, real sockets: what a person and an operator may rely on.

mod bad_input;
mod clocks;
mod devices;
mod disks;
mod faults;
mod hostile;
mod session_page;
mod world;
