//! In a page: `packages/client/bench` drives a real Chromium against the real server, and hands its figures over as JSON.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::Context;
use super::load::fill;
use crate::Fallible;
use crate::figures::Figure;
use crate::process::Server;

/// A browser that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(180);

/// Runs `packages/client/bench/SCRIPT.mjs` beside a server that holds so many rows.
pub async fn run(context: Context, script: &str, rows: usize) -> Fallible<Vec<Figure>> {
    let built = context.built.as_deref().ok_or("the page is not built; `cargo xtask bench browser` builds it")?;
    let rows = rows / context.scale as usize;
    let server = Server::start_for_page(&context.server, &built.join("page"))?;
    fill(&server, rows).await?;
    let asked = serde_json::json!({"url": format!("http://{}", server.address), "app": built, "scale": context.scale, "rows": rows});
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packages/client/bench").join(format!("{script}.mjs"));
    let mut command = Command::new("node");
    command.arg(&script).arg(asked.to_string()).env("LANDFALL_BIN", &context.server);
    let child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn();
    let child = child.map_err(|e| format!("node cannot be started: {e}; `cargo xtask bench browser` installs it"))?;
    let ended = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let output = ended.map_err(|_| "the browser did not end in time")??;
    if !output.status.success() {
        return Err(format!("{} failed ({}); its words stand above", script.display(), output.status).into());
    }
    let text = String::from_utf8(output.stdout)?;
    Ok(serde_json::from_str(text.lines().last().unwrap_or_default())?)
}
