//! What every store must do, whatever database it stands on. A back end implements [`Backend`] and invokes
//! `store_contract!` in one line.

use landfall_core::schema::Schema;

use crate::actions::Actions;
use crate::store::Store;

mod access;
mod actions;
mod bad;
mod buckets;
mod decisions;
mod docs;
mod faults;
mod history;
mod kit;
mod outside;
mod property;
mod rows;
mod tombstones;
mod versions;
mod webhooks;
mod workload;

pub(crate) use kit::*;
pub(crate) use {
    access::*, actions::*, bad::*, buckets::*, decisions::*, docs::*, faults::*, history::*, outside::*, property::*,
    rows::*, tombstones::*, versions::*, webhooks::*, workload::*,
};

/// A database to test on; it lives as long as the value. Other programs reach it from other threads.
pub(crate) trait Backend: Sync {
    /// An empty database.
    fn fresh() -> Self;
    /// Opens it, as a new server process would.
    fn open(&self, schema: &Schema) -> Box<dyn Store>;
    /// Opens it for a server with handlers of the app's.
    fn open_with(&self, schema: &Schema, actions: Actions) -> Box<dyn Store>;
    /// Another program runs SQL on the app's tables.
    fn outside(&self, sql: &str);
    /// An operator lays down a rule of the database's own: no row of `table` has this text in `column`.
    fn forbid(&self, table: &str, column: &str, text: &str);
    /// The operator's rule about `table` is dropped.
    fn allow(&self, table: &str);
}

macro_rules! store_contract {
    ($backend:ty) => {
        $crate::store::contract::store_contract!(@ $backend:
            an_entry_is_applied_once_however_often_it_comes,
            the_number_of_another_transaction_is_a_copied_database,
            what_comes_too_late_is_refused,
            what_copies_queue_anew_is_decided_once,
            an_entry_that_was_rewritten_is_the_one_that_a_copy_has,
            a_copy_is_told_its_own_number_of_what_was_refused,
            entries_of_one_replica_may_come_in_any_order,
            holes_in_the_numbers_are_no_obstacle,
            an_entry_waits_for_its_predecessor_across_groups,
            nothing_follows_what_is_not_older,
            fate_is_shared_and_order_is_not,
            a_refusal_never_undoes_its_neighbours,
            a_transaction_that_the_database_rejects_harms_nobody_else,
            a_transaction_that_failed_is_accepted_when_the_fault_is_mended,
            a_table_says_how_often_it_is_tried,
            a_server_that_was_started_anew_goes_on_counting,
            a_handler_adds_to_what_the_device_writes,
            a_handler_refuses,
            a_handler_drops_what_the_device_wants,
            a_handler_that_fails_harms_nobody_else,
            an_action_that_cannot_be_is_refused,
            a_handler_runs_again_when_its_group_does,
            changes_leave_their_history,
            what_is_lost_to_others_is_in_the_history,
            a_history_begins_with_what_a_row_was,
            a_history_that_is_long_gets_sequences_of_its_own,
            of_a_history_what_no_state_needs_is_forgotten,
            a_history_that_was_erased_begins_anew,
            a_delete_from_outside_is_in_the_history_however_late,
            nobody_but_the_server_writes_a_history,
            an_update_of_a_document_is_signed_by_the_server,
            what_is_no_update_of_a_document_is_refused,
            a_long_document_is_few_updates,
            who_has_a_document_follows_its_row,
            a_document_goes_with_its_row_and_comes_back,
            typing_and_a_delete_that_saw_less_are_concurrent,
            documents_follow_other_access_rules,
            a_version_is_what_its_author_saw_and_is_signed_by_the_server,
            who_may_not_change_a_row_keeps_no_versions_of_it,
            a_version_stays_as_it_was_kept,
            there_is_an_end_to_versions_of_a_row,
            nobody_takes_an_update_out_of_a_document,
            documents_come_back_under_the_rights_of_their_row,
            what_is_asked_about_holds_up_nobody_else,
            an_answer_rests_on_rows_as_they_were,
            what_cannot_be_asked_now_comes_again,
            a_webhook_that_fails_harms_nobody_else,
            a_replica_keeps_its_owner,
            sequences_have_no_holes_and_chain_on,
            a_restored_server_begins_a_new_history,
            truncation_keeps_the_decisions_that_are_still_asked_for,
            a_secret_stays_the_same,
            stamps_never_pass_the_servers_clock,
            what_several_type_into_a_text_is_all_there,
            a_clock_that_was_years_ahead_does_not_decide_for_years,
            a_concurrent_write_loses_by_stamp_and_a_seeing_one_wins,
            a_deleted_row_comes_back_with_all_it_took_along,
            a_reference_needs_its_row,
            what_is_referred_to_may_stay,
            a_unique_value_is_given_once_and_may_be_swapped,
            json_is_stored_in_one_form,
            required_columns_are_filled_for_older_writers,
            rows_that_merge_are_validated_whole,
            a_hidden_row_is_gone_for_the_writer,
            rules_hold_before_and_after,
            a_write_from_outside_gets_a_sequence_first,
            a_scan_finds_what_other_programs_did,
            a_page_between_two_outside_writes_is_made_good,
            an_outside_write_on_a_forgotten_row_still_reaches_buckets,
            outside_writes_race_with_groups_and_none_is_lost,
            buckets_see_rows_come_change_and_go,
            a_bucket_is_opened_once,
            a_bucket_that_nobody_uses_is_forgotten,
            ten_thousand_buckets_cost_one_lookup,
            a_log_slice_is_complete_up_to_where_it_says,
            pages_and_log_together_are_the_bucket,
            grouping_makes_no_difference,
            a_fixed_workload_always_gives_the_same,
            a_deleted_row_is_remembered_for_its_time,
            a_row_that_was_made_again_is_not_forgotten,
            what_was_made_before_deletes_are_remembered_is_asked_for_again,
            who_says_to_have_seen_what_never_was_has_seen_nothing,
            what_no_rule_takes_is_refused_and_leaves_nothing,
            a_resolution_that_does_not_fit_leaves_the_conflict,
            what_was_typed_is_in_the_history_whatever_was_made_of_it,
        );
    };
    (@ $backend:ty: $($name:ident),* $(,)?) => {
        $(#[test] fn $name() { $crate::store::contract::$name::<$backend>(); })*
    };
}
pub(crate) use store_contract;
