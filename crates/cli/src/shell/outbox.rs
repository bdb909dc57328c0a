//! What a person does about transactions that are on their way: withdraw, undo, export, import.

use landfall_client::db::{Undone, Withdrawal};
use serde_json::json;

use super::{Failure, Shell, failed};

impl Shell {
    pub(super) async fn withdraw(&self, rseq: u64) -> Result<(), Failure> {
        match self.client.withdraw(rseq).await.map_err(failed)?.value {
            Withdrawal::Withdrawn { with_it, .. } => {
                let text = match with_it.len() {
                    0 => format!("transaction {rseq} was never sent, and is gone"),
                    n => {
                        format!("transaction {rseq} was never sent, and is gone; {n} cannot be without it, see .outbox")
                    }
                };
                self.say(&text, json!({ "withdrawn": rseq, "with_it": with_it }));
            }
            Withdrawal::TakenBack(undone) => self.taken_back(Some(undone), ""),
        }
        Ok(())
    }

    pub(super) async fn undo(&self) -> Result<(), Failure> {
        self.taken_back(
            self.client.undo().await.map_err(failed)?.map(|written| written.value),
            "there is nothing to undo",
        );
        Ok(())
    }

    pub(super) async fn redo(&self) -> Result<(), Failure> {
        self.taken_back(
            self.client.redo().await.map_err(failed)?.map(|written| written.value),
            "there is nothing to do again",
        );
        Ok(())
    }

    fn taken_back(&self, undone: Option<Undone>, nothing: &str) {
        let Some(Undone { of, left }) = undone else { return self.say(nothing, json!({ "undone": null })) };
        let what = |l: &landfall_client::db::Left| match &l.column {
            Some(column) => format!("{} of {} {}", column, l.table, l.key),
            None => format!("{} {}", l.table, l.key),
        };
        let left: Vec<String> = left.iter().map(what).collect();
        let kept = match left.len() {
            0 => String::new(),
            _ => format!("; left as it is, since it was changed since: {}", left.join(", ")),
        };
        self.say(&format!("transaction {of} is taken back{kept}"), json!({ "undone": of, "left": left }));
    }

    pub(super) async fn replay(&self) -> Result<(), Failure> {
        let held = self.client.status().borrow().review;
        self.client.replay().await.map_err(failed)?;
        let text = match held {
            None => "nothing is held back".to_owned(),
            Some(held) => format!("{} may be sent", super::render::count(held.entries, "transaction")),
        };
        self.say(&text, json!({ "replayed": held.map_or(0, |held| held.entries) }));
        Ok(())
    }

    /// Never over a file that is there.
    pub(super) async fn export(&self, path: &str) -> Result<(), Failure> {
        let file = self.client.export_outbox(None).await.map_err(failed)?;
        let made = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
        made.and_then(|mut to| std::io::Write::write_all(&mut to, file.as_bytes())).map_err(|e| about(path, &e))?;
        self.say(&format!("the outbox is in {path}"), json!({ "exported": path }));
        Ok(())
    }

    pub(super) async fn import(&self, path: &str) -> Result<(), Failure> {
        let file = std::fs::read_to_string(path).map_err(|e| about(path, &e))?;
        let imported = self.client.import_outbox(file).await.map_err(failed)?;
        for why in &imported.refused {
            self.say(&format!("left out: {why}"), json!({ "left_out": why }));
        }
        let (added, known) = (&imported.added, imported.known);
        let text = format!("{} to retry, {known} known already; see .outbox", added.len());
        self.say(&text, json!({ "added": added, "known": known }));
        Ok(())
    }
}

fn about(path: &str, error: &std::io::Error) -> Failure {
    Failure::runtime(format!("the file '{path}' cannot be used: {error}; name another one [LF-7020]"))
}
