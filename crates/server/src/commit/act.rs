//! A transaction that asks for an action: what the app's handler makes of it.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use landfall_core::error::codes;
use landfall_core::schema::{MAX_OPERATIONS, MAX_TRANSACTION_BYTES};
use landfall_core::txn::Transaction;
use landfall_core::{Action, Operation, Problem};

use super::Group;
use super::tx::StoreTx;
use crate::actions::{ActionHandler, Call, Halt, Reason, is_handlers_fault};
use crate::store::{PushEntry, StoreError};

/// What is to be applied.
pub(super) struct Acted<'t> {
    /// What is left of what the device wants.
    pub(super) own: Cow<'t, [Operation]>,
    /// What the handler adds, under the server's rights.
    pub(super) added: Vec<Operation>,
}

impl<T: StoreTx> Group<'_, T> {
    /// Has the app's handler look at a transaction; `own` is what the device wants, prepared. What is refused or failed is
    /// so for the handler's reason.
    pub(super) fn act<'t>(
        &mut self,
        push: &'t PushEntry,
        action: &'t Action,
        own: Cow<'t, [Operation]>,
    ) -> Result<Result<Acted<'t>, Reason>, StoreError> {
        if landfall_core::mutant::active("handler-ignored") {
            return Ok(Ok(Acted { own, added: Vec::new() }));
        }
        let actions = self.actions;
        let answer;
        let handler: &dyn ActionHandler = match actions.handler(&action.name) {
            Some(handler) => handler.as_ref(),
            None if actions.is_webhook(&action.name) => match self.consult(push, action, &own)? {
                Ok(decided) => {
                    answer = decided;
                    &answer
                }
                Err(reason) => return Ok(Err(reason)),
            },
            None => {
                let text = format!("nobody handles the action '{}' on this server; ask whoever runs it", action.name);
                return Ok(Err(Reason::Refused(Problem::new(codes::NOT_HANDLED, text))));
            }
        };
        let clock = || actions.now();
        let mut call = Call {
            tx: &mut *self.tx,
            plan: self.plan,
            push,
            action,
            now_ms: self.now_ms,
            until: actions.now() + handler.budget(),
            clock: &clock,
            operations: own.into_owned(),
            added: Vec::new(),
            fault: None,
            ids: 0,
        };
        // It reads only: a panic leaves nothing half done.
        let answer = catch_unwind(AssertUnwindSafe(|| handler.handle(&mut call)));
        let late = call.is_late();
        let Call { operations, added, fault, .. } = call;
        if let Some(error) = fault {
            return Err(error);
        }
        let failed = |text: &str| Ok(Err(Reason::Failed(text.to_owned())));
        match answer {
            Err(_) => failed("it panicked"),
            Ok(Err(Halt(reason @ Reason::Refused(_)))) => Ok(Err(reason)),
            Ok(_) if late => failed("it took longer than it may"),
            Ok(Err(Halt(reason))) => Ok(Err(reason)),
            Ok(Ok(())) => Ok(self.prepare_added(push, operations, added)),
        }
    }

    /// Holds what a handler adds against the schema.
    fn prepare_added<'t>(
        &self,
        push: &PushEntry,
        own: Vec<Operation>,
        added: Vec<Operation>,
    ) -> Result<Acted<'t>, Reason> {
        let problem = |problem: Problem| match is_handlers_fault(&problem) {
            true => Reason::Failed(format!("what it adds cannot be: {problem}")),
            false => Reason::Refused(problem),
        };
        let added = self.plan.prepare_added(added).map_err(problem)?;
        let txn = &push.entry.transaction;
        let all = Transaction { operations: [&own[..], &added].concat(), ..txn.clone() };
        if all.operations.len() > MAX_OPERATIONS || all.size() > MAX_TRANSACTION_BYTES {
            return Err(Reason::Failed("it adds more than fits one transaction".into()));
        }
        Ok(Acted { own: Cow::Owned(own), added })
    }
}
