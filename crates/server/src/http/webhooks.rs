//! Makes the requests to the app's webhooks. What is asked and when is [`crate::actions::hooks`]'s to say.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use rand::rngs::{ChaCha20Rng, SysRng};
use rand::{Rng as _, SeedableRng as _};
use reqwest::{Client, Response, Url, header};
use tokio::task::JoinSet;

use super::shared::Shared;
use crate::actions::answer::MOST_BYTES;
use crate::actions::hooks::{Ask, Said};
use crate::actions::sign::{Secret, signatures};

/// How long a webhook may take for one answer, to the last byte.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// The app's webhooks.
#[derive(Clone, Debug, Default)]
pub struct Webhooks {
    /// Where each action's is.
    pub urls: BTreeMap<String, Url>,
    /// What requests are signed with: once with each.
    pub secrets: Vec<Secret>,
    /// How long an answer may take; [`TIMEOUT`] when it is not said.
    pub timeout: Option<Duration>,
}

/// Asks until it is dropped. What is under way then is asked again by the next process, under the same id.
pub(super) async fn run(shared: Arc<Shared>, webhooks: Webhooks) {
    if webhooks.urls.is_empty() {
        return;
    }
    let timeout = webhooks.timeout.unwrap_or(TIMEOUT);
    let agent = concat!("landfall/", env!("CARGO_PKG_VERSION"));
    // Half of the time, so that one that cannot be reached is told from one that does not answer.
    let client = Client::builder().timeout(timeout).connect_timeout(timeout / 2);
    let client = client.redirect(reqwest::redirect::Policy::none()).user_agent(agent);
    let (client, mut rng) = match (client.build(), ChaCha20Rng::try_from_rng(&mut SysRng)) {
        (Ok(client), Ok(rng)) => (client, rng),
        (client, rng) => {
            let (client, rng) = (client.err(), rng.err());
            tracing::error!(?client, ?rng, "webhooks cannot be asked: every action waits");
            return;
        }
    };
    let webhooks = Arc::new(webhooks);
    let mut requests = JoinSet::new();
    loop {
        loop {
            let ask = shared.hooks.lock().next(shared.now().mono_ms);
            shared.take_back();
            let Some(ask) = ask else { break };
            let (client, webhooks, shared) = (client.clone(), Arc::clone(&webhooks), Arc::clone(&shared));
            requests.spawn(async move {
                let (ticket, action, began) = (ask.ticket, ask.action.clone(), Instant::now());
                let said = AssertUnwindSafe(request(&client, &webhooks, ask, timeout)).catch_unwind().await;
                let said = said.unwrap_or_else(|_| Said::Nothing("the server failed to ask it".to_owned()));
                shared.metrics.webhook(&action, &said, began.elapsed());
                (ticket, action, said)
            });
        }
        let due = shared.hooks.lock().deadline_ms().map(|at| shared.instant(at));
        tokio::select! {
            () = shared.to_ask.notified() => {}
            Some(done) = requests.join_next() => {
                // A task ends with an error only when it panics, which it does not.
                let Ok((ticket, action, said)) = done else { continue };
                note(&action, &said);
                shared.hooks.lock().said(ticket, said, shared.now().mono_ms, rng.next_u64());
            }
            () = until(due) => {}
        }
    }
}

async fn until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// What the operator hears of it.
fn note(action: &str, said: &Said) {
    match said {
        Said::Answer { status: status @ 200..=299, .. } => tracing::debug!(action, status, "the webhook has answered"),
        Said::Answer { status, .. } => tracing::warn!(action, status, "the webhook did not take the question"),
        Said::Nothing(why) => tracing::warn!(action, why, "the webhook did not answer"),
        Said::Unreachable(why) => tracing::warn!(action, why, "the webhook was not asked"),
    }
}

async fn request(client: &Client, webhooks: &Webhooks, ask: Ask, timeout: Duration) -> Said {
    let Some(url) = webhooks.urls.get(&ask.action) else {
        return Said::Nothing("this server does not know where it is".to_owned());
    };
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
    let signature = signatures(&webhooks.secrets, &ask.id, seconds, &ask.body);
    let request = client
        .post(url.clone())
        .header(header::CONTENT_TYPE, "application/json")
        .header("webhook-id", &ask.id)
        .header("webhook-timestamp", seconds)
        .header("webhook-signature", signature)
        .body(ask.body);
    let response = match request.send().await {
        Ok(response) => response,
        Err(problem) => return nothing(&problem, timeout),
    };
    let status = response.status().as_u16();
    let after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let retry_after_ms = after.map(|seconds| seconds.saturating_mul(1_000));
    match body(response).await {
        Ok(body) => Said::Answer { status, retry_after_ms, body },
        Err(problem) => nothing(&problem, timeout),
    }
}

/// The body; `None` when it is too long.
async fn body(mut response: Response) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await? {
        if body.len() + part.len() > MOST_BYTES {
            return Ok(None);
        }
        body.extend_from_slice(&part);
    }
    Ok(Some(body))
}

/// No answer, in words that tell devices nothing of where it is.
fn nothing(problem: &reqwest::Error, timeout: Duration) -> Said {
    tracing::debug!("a webhook failed: {problem}");
    match problem {
        problem if problem.is_connect() => Said::Unreachable("it cannot be reached".to_owned()),
        problem if problem.is_timeout() => {
            Said::Nothing(format!("it did not answer within {} s", timeout.as_secs_f32()))
        }
        _ => Said::Nothing("the connection to it broke".to_owned()),
    }
}
