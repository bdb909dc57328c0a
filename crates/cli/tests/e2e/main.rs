//! Real processes, real files, real sockets: what a person and an operator may rely on.

mod devices;
mod faults;
mod world;
