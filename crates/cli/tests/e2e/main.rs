//! Real processes, real files, real sockets: what a person and an operator may rely on.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod bad_input;
mod clocks;
mod devices;
mod disks;
mod faults;
mod hostile;
mod logs;
mod pipes;
mod session_page;
mod turned;
mod world;
