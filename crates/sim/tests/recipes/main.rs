//! The recipes of `docs/recipes`, run: each page's schema and code, taken from the page, in a story of what goes wrong.
//!
//! A story is told step by step in a small world: the very `Engine` and `ServerCore` on simulated disks and networks, in
//! virtual time. What it asserts is what a person would notice.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failing unwrap is a failing test")]

mod bank;
mod care_logs;
mod cart;
mod chat;
mod documents;
mod page;
mod survey;
mod todo;
mod world;
