//! The app's webhook: it answers when it wants to, twice, never, or nonsense; and the same question may come again.

use landfall_server::actions::hooks::{Ask, Said};

use super::{Event, World};
use crate::clock::{MILLI, SECOND};
use crate::invariants::Violation;

/// What a webhook may do to a request.
pub(crate) const WEBHOOK: [&str; 9] = [
    "webhook answers",
    "webhook answers twice",
    "webhook answers too late",
    "webhook never answers",
    "webhook is down",
    "webhook answers nonsense",
    "webhook refuses to answer",
    "webhook cannot be reached",
    "webhook is overloaded",
];

impl World {
    /// Makes the requests that are due. The answers are of the question alone: rows may move until they come.
    pub(super) fn ask_webhook(&mut self) {
        let now = self.server_moment();
        while let Some(ask) = self.server.process.as_mut().and_then(|process| process.core.next_ask(now)) {
            self.ask_one(&ask);
        }
        // Some may be decided now, or asked about.
        self.schedule_commit();
    }

    fn ask_one(&mut self, ask: &Ask) {
        let answer = match crate::shop::answer(&ask.body) {
            Ok(json) => json.to_string(),
            Err(problem) => format!("the shop does not understand: {problem}"),
        };
        let (dice, life, ticket) = (&mut self.hook_dice, self.server.life, ask.ticket);
        let said = |status: u16, body: &str| Said::Answer {
            status,
            retry_after_ms: None,
            body: Some(body.as_bytes().to_vec()),
        };
        let soon = dice.between(1, 900) * MILLI;
        let trouble = !self.healing && dice.chance(self.plan.webhook_trouble);
        let what = if trouble { 1 + dice.index(WEBHOOK.len() - 1) } else { 0 };
        let mut says = vec![(soon, said(200, &answer))];
        let late = || Said::Nothing("it did not answer in time".to_owned());
        match what {
            1 => says.push((soon + dice.between(1, 3_000) * MILLI, said(200, &answer))),
            2 => says = vec![(2 * SECOND, late()), (2 * SECOND + soon, said(200, &answer))],
            3 => says = vec![(2 * SECOND, late())],
            4 => says = vec![(soon, said(500, "")), (soon, said(200, &answer))],
            5 => {
                let nonsense = ["", "[]", "{\"operations\": 5}", "{\"drop\": [{\"table\": \"tills\", \"key\": 1}]}"];
                says = vec![(soon, said(200, nonsense[dice.index(nonsense.len())]))];
            }
            6 => says = vec![(soon, said(404, "")), (soon, said(200, &answer))],
            7 => says = vec![(soon, Said::Unreachable("there is no way to it".to_owned()))],
            8 => {
                let (status, retry_after_ms) =
                    if dice.chance(500) { (429, Some(dice.below(4_000))) } else { (503, None) };
                says = vec![(soon, Said::Answer { status, retry_after_ms, body: None })];
            }
            _ => {}
        }
        self.coverage.hit(WEBHOOK[what]);
        for (after, said) in says {
            self.queue.at(self.now + after, Event::WebhookSays { life, ticket, said });
        }
    }

    pub(super) fn webhook_says(&mut self, life: u64, ticket: u64, said: Said) -> Result<(), Violation> {
        if self.server.life != life {
            return Ok(());
        }
        let (now, random) = (self.server_moment(), self.hook_dice.number());
        if let Some(process) = self.server.process.as_mut() {
            process.core.said(ticket, said, now, random);
        }
        self.schedule_server_tick();
        Ok(())
    }
}
