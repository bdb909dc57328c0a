//! `server` and `client`: of concurrent writes the one wins that reached the server first, or last.

use super::{Contest, Rule, Winner};

#[derive(Debug)]
pub(super) struct Server;

#[derive(Debug)]
pub(super) struct Client;

impl Rule for Server {
    fn name(&self) -> &'static str {
        "server"
    }

    fn winner(&self, contest: &Contest<'_>) -> Winner {
        if contest.concurrent { Winner::Stored } else { Winner::Written }
    }

    fn is_order_free(&self) -> bool {
        false
    }
}

impl Rule for Client {
    fn name(&self) -> &'static str {
        "client"
    }

    fn winner(&self, _: &Contest<'_>) -> Winner {
        Winner::Written
    }

    fn is_order_free(&self) -> bool {
        false
    }
}
